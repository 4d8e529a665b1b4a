//! Segments of the log: which one is written, when the next one begins, and which are not needed
//! any more.
//!
//! Invariant: of those that are left one has the whole state, or all that were ever written are
//! left; each event that is not acknowledged is in one that is left.
//!
//! Deliberately absent: files.

/// See the module.
#[derive(Debug)]
pub(super) struct SegmentList {
    /// A segment grows by so many bytes of events at least, and by as many as its state has.
    growth_bytes_min: u64,
    /// The oldest first; the last one is written.
    list: Vec<Segment>,
    /// No segment had this number or a higher one.
    next_id: u64,
}

#[derive(Debug)]
struct Segment {
    id: u64,
    events_bytes: u64,
    state_bytes: u64,
    /// No event in it has a higher number.
    last_number: u64,
    state: StateStage,
}

/// How much of the state stands in a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StateStage {
    /// Not all of it.
    Partial,
    /// All, when what was written is synced.
    Written,
    /// All.
    Whole,
}

/// What is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WriteClass {
    /// Events, and what was acknowledged.
    Event,
    /// The state.
    State,
    /// The end of the state.
    Whole,
}

impl SegmentList {
    /// None was begun.
    pub fn new(growth_bytes_min: u64) -> SegmentList {
        SegmentList { growth_bytes_min, list: Vec::new(), next_id: 0 }
    }

    /// A segment was found that has events up to this number.
    pub fn restore(&mut self, id: u64, last_number: u64) {
        // Whether its state is whole is not asked: the next one's will be soon.
        let state = StateStage::Partial;
        self.list.push(Segment { id, events_bytes: 0, state_bytes: 0, last_number, state });
        self.next_id = self.next_id.max(id.saturating_add(1));
    }

    /// The next one begins.
    pub fn begin(&mut self) {
        let (id, state) = (self.next_id, StateStage::Partial);
        self.list.push(Segment { id, events_bytes: 0, state_bytes: 0, last_number: 0, state });
        self.next_id += 1;
    }

    /// The one that is written.
    pub fn current_id(&self) -> u64 {
        self.list.last().expect("a segment was begun").id
    }

    /// Something is written, and no event has a higher number than this one.
    pub fn add(&mut self, class: WriteClass, bytes: usize, last_number: u64) {
        let current = self.list.last_mut().expect("a segment was begun");
        current.last_number = last_number;
        match class {
            WriteClass::Event => current.events_bytes += bytes as u64,
            WriteClass::State => current.state_bytes += bytes as u64,
            WriteClass::Whole => current.state = StateStage::Written,
        }
    }

    /// All that was written is on the disk.
    pub fn on_synced(&mut self) {
        if let Some(current) = self.list.last_mut()
            && current.state == StateStage::Written
        {
            current.state = StateStage::Whole;
        }
    }

    /// Whether the next one is to begin.
    pub fn is_grown(&self) -> bool {
        self.list.last().is_some_and(|current| {
            let growth_bytes = current.state_bytes.max(self.growth_bytes_min);
            current.state == StateStage::Whole && growth_bytes <= current.events_bytes
        })
    }

    /// Takes those that are not needed: a later one has the whole state, and all of their events
    /// are done.
    pub fn take_unneeded(&mut self, done_number: u64) -> Vec<u64> {
        let whole = self.list.iter().rposition(|segment| segment.state == StateStage::Whole);
        let may_go = &self.list[..whole.unwrap_or(0)];
        let is_done = |segment: &&Segment| segment.last_number <= done_number;
        let gone = may_go.iter().take_while(is_done).count();
        self.list.drain(..gone).map(|segment| segment.id).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROWTH_BYTES_MIN: u64 = 1 << 20;

    fn whole(list: &mut SegmentList, last_number: u64) {
        list.add(WriteClass::State, 100, last_number);
        list.add(WriteClass::Whole, 10, last_number);
        list.on_synced();
    }

    #[test]
    fn a_segment_goes_when_its_events_are_done_and_a_later_one_is_whole() {
        let mut list = SegmentList::new(GROWTH_BYTES_MIN);
        list.restore(3, 40);
        list.restore(7, 50);
        list.begin();
        assert_eq!(list.current_id(), 8);
        list.add(WriteClass::Event, 10, 60);
        list.on_synced();
        assert!(list.take_unneeded(60).is_empty(), "nobody has the whole state");
        list.add(WriteClass::Whole, 10, 60);
        assert!(list.take_unneeded(60).is_empty(), "it is not synced");
        list.on_synced();
        assert!(list.take_unneeded(39).is_empty());
        assert_eq!(list.take_unneeded(49), [3]);
        assert_eq!(list.take_unneeded(60), [7], "the one that is written stays");
        list.begin();
        list.begin();
        whole(&mut list, 70);
        assert_eq!((list.current_id(), list.take_unneeded(70)), (10, vec![8, 9]));
    }

    #[test]
    fn the_next_one_begins_when_events_have_grown_as_the_state() {
        let mut list = SegmentList::new(GROWTH_BYTES_MIN);
        list.begin();
        list.add(WriteClass::Event, GROWTH_BYTES_MIN as usize, 1);
        assert!(!list.is_grown(), "its state is not written");
        whole(&mut list, 1);
        assert!(list.is_grown());
        list.add(WriteClass::State, GROWTH_BYTES_MIN as usize, 1);
        assert!(!list.is_grown());
        list.add(WriteClass::Event, 100, 1);
        assert!(list.is_grown());
    }
}
