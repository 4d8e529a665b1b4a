//! A row of the catalogue, and the macro that makes a table of them.

/// Units of values, by the end of a metric's name.
const UNITS: [&str; 3] = ["seconds", "bytes", "cores"];

/// Whether a scrape sees the server or its cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ScrapeScope {
    /// One sample a series: the sum over all cores.
    #[default]
    Summed,
    /// One sample a series and core, with the label `core`.
    Each,
}

/// What a row of the catalogue is to Prometheus.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricKind {
    /// Only grows.
    Counter,
    /// Goes both ways.
    Gauge,
    /// Buckets, and the sum of what was observed.
    Histogram,
}

/// Who writes a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MetricSource {
    /// Every core, about itself.
    Core,
    /// The storage thread.
    Store,
    /// Whoever else in the process, about the process.
    Process,
}

/// What a scrape makes of the cells of all cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Merge {
    /// The sum is the server's value.
    Sum,
    /// A sum would say nothing: each core has a series of its own, always.
    ByCore,
    /// The sum over cores, for each tenant.
    ByTenant,
}

/// Where the article that this product's monitoring comes from has the metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ArticleReference {
    /// Its chapter.
    pub chapter: &'static str,
    /// Its name there.
    pub name: &'static str,
    /// Which of its 17 metrics this is, from and to; 0 for none of them.
    pub of_17: (u8, u8),
}

/// One row of the catalogue. Rows with the same name stand next to each other
/// and differ in their fixed labels: together they are one metric family.
#[derive(Debug)]
pub(super) struct MetricRow {
    pub name: &'static str,
    pub help: &'static str,
    pub kind: MetricKind,
    /// Labels with one value, which tell the rows of a family apart.
    pub fixed: &'static [(&'static str, &'static str)],
    /// Labels with all their values, the slowest first.
    pub axes: &'static [Axis],
    /// Upper bounds in microseconds, rising; exposed in seconds. Empty but for
    /// histograms. `+Inf` is not listed.
    pub bounds_us: &'static [u64],
    pub source: MetricSource,
    pub merge: Merge,
    /// How many of the cell's units make one of the exposed unit.
    pub per_unit: u64,
    pub article: Option<ArticleReference>,
    /// Whether the tail's buckets keep an example.
    pub exemplars: bool,
}

/// A label and the values it can have. Two labels that go together have names and
/// values with a space between them.
#[derive(Debug)]
pub(super) struct Axis {
    pub label: &'static str,
    pub words: &'static [&'static str],
}

/// Buckets that end here, in microseconds, or later have what somebody may ask about.
pub(super) const TAIL_US_MIN: u64 = 400_000;

impl MetricRow {
    pub const fn new(
        name: &'static str,
        help: &'static str,
        kind: MetricKind,
        fixed: &'static [(&'static str, &'static str)],
        axes: &'static [Axis],
    ) -> MetricRow {
        let per_unit = match kind {
            MetricKind::Counter | MetricKind::Gauge => 1,
            MetricKind::Histogram => 1_000_000,
        };
        MetricRow {
            name,
            help,
            kind,
            fixed,
            axes,
            bounds_us: &[],
            source: MetricSource::Core,
            merge: Merge::Sum,
            per_unit,
            article: None,
            exemplars: false,
        }
    }

    pub const fn bounds(mut self, bounds_us: &'static [u64]) -> MetricRow {
        self.bounds_us = bounds_us;
        self
    }

    /// Written by the storage thread.
    pub const fn store(mut self) -> MetricRow {
        self.source = MetricSource::Store;
        self
    }

    /// Written for the whole process.
    pub const fn process(mut self) -> MetricRow {
        self.source = MetricSource::Process;
        self
    }

    pub const fn by_core(mut self) -> MetricRow {
        self.merge = Merge::ByCore;
        self
    }

    pub const fn by_tenant(mut self) -> MetricRow {
        self.merge = Merge::ByTenant;
        self
    }

    /// The cell has thousandths of what is shown.
    pub const fn in_thousandths(mut self) -> MetricRow {
        self.per_unit = 1_000;
        self
    }

    /// The cell has milliseconds, and seconds are shown.
    pub const fn in_ms(mut self) -> MetricRow {
        self.per_unit = 1_000;
        self
    }

    /// The cell has nanoseconds, and seconds are shown.
    pub const fn in_ns(mut self) -> MetricRow {
        self.per_unit = 1_000_000_000;
        self
    }

    pub const fn article(mut self, chapter: &'static str, name: &'static str) -> MetricRow {
        self.article = Some(ArticleReference { chapter, name, of_17: (0, 0) });
        self
    }

    /// One or some of the article's 17; behind `article`.
    pub const fn of_17(mut self, from: u8, to: u8) -> MetricRow {
        let Some(article) = &mut self.article else { panic!("of_17 comes behind article") };
        article.of_17 = (from, to);
        self
    }

    pub const fn exemplars(mut self) -> MetricRow {
        self.exemplars = true;
        self
    }

    /// How many combinations of label values there are.
    pub const fn series(&self) -> usize {
        let mut series = 1;
        let mut axis = 0;
        while axis < self.axes.len() {
            series *= self.axes[axis].words.len();
            axis += 1;
        }
        series
    }

    /// Cells of one series: a histogram has its buckets, `+Inf`, and the sum.
    pub const fn cells_per_series(&self) -> usize {
        match self.kind {
            MetricKind::Counter | MetricKind::Gauge => 1,
            MetricKind::Histogram => self.bounds_us.len() + 2,
        }
    }

    /// Buckets below the tail.
    pub const fn tail_from(&self) -> usize {
        let mut bucket = 0;
        while bucket < self.bounds_us.len() && self.bounds_us[bucket] < TAIL_US_MIN {
            bucket += 1;
        }
        bucket
    }

    /// Places for examples of one series: one for each bucket of the tail.
    pub const fn exemplars_per_series(&self) -> usize {
        if self.exemplars { self.bounds_us.len() + 1 - self.tail_from() } else { 0 }
    }

    /// Whether a scrape has a series for each core.
    pub fn shows_cores(&self, cores: ScrapeScope) -> bool {
        match (self.source, self.merge) {
            (MetricSource::Core, Merge::Sum) => cores == ScrapeScope::Each,
            (MetricSource::Core, Merge::ByCore) => true,
            (MetricSource::Core, Merge::ByTenant)
            | (MetricSource::Store | MetricSource::Process, _) => false,
        }
    }

    /// Whether this is the name of the family, or of some of its samples.
    pub fn has_samples_of(&self, name: &str) -> bool {
        match (name.strip_prefix(self.name), self.kind) {
            (Some(""), _) => true,
            (Some("_bucket" | "_count" | "_sum" | "_created"), MetricKind::Histogram) => true,
            (Some(_) | None, MetricKind::Counter | MetricKind::Gauge | MetricKind::Histogram) => {
                false
            }
        }
    }

    /// The unit in which values are exposed, as far as the name says one.
    pub fn unit(&self) -> &'static str {
        unit_of(self.name.strip_suffix("_total").unwrap_or(self.name)).unwrap_or("")
    }

    /// The labels of one series, in the order of the catalogue.
    pub fn labels(&self, series: usize) -> Vec<(&'static str, &'static str)> {
        let mut rest = series;
        let mut axes = Vec::with_capacity(self.axes.len() + 1);
        for axis in self.axes.iter().rev() {
            let word = axis.words[rest % axis.words.len()];
            rest /= axis.words.len();
            match (axis.label.split_once(' '), word.split_once(' ')) {
                (Some((first, second)), Some((word, other))) => {
                    axes.extend([(second, other), (first, word)]);
                }
                (None, _) | (_, None) => axes.push((axis.label, word)),
            }
        }
        self.fixed.iter().copied().chain(axes.into_iter().rev()).collect()
    }
}

/// The unit that a family's name ends with, if it does.
pub(super) fn unit_of(family: &str) -> Option<&'static str> {
    let has = |unit: &&str| family.strip_suffix(unit).is_some_and(|stem| stem.ends_with('_'));
    UNITS.into_iter().find(has)
}

/// Where each row begins in its core's cells when the table begins at `start`; the
/// last entry is the end.
pub(super) const fn places<const N: usize>(rows: &[MetricRow], start: usize) -> [usize; N] {
    assert!(N == rows.len() + 1);
    let mut places = [start; N];
    let mut row = 0;
    while row < rows.len() {
        places[row + 1] = places[row] + rows[row].series() * rows[row].cells_per_series();
        row += 1;
    }
    places
}

/// The same for the places of examples.
pub(super) const fn exemplar_places<const N: usize>(rows: &[MetricRow]) -> [usize; N] {
    assert!(N == rows.len() + 1);
    let mut places = [0; N];
    let mut row = 0;
    while row < rows.len() {
        places[row + 1] = places[row] + rows[row].series() * rows[row].exemplars_per_series();
        row += 1;
    }
    places
}

/// Makes an enum of a table's rows. Its values know their cells at compile time.
macro_rules! catalogue {
    (
        $(#[$about:meta])*
        $table:ident from $start:expr, $kind:ident of
        $(
            #[doc = $help:literal]
            $row:ident $(($($label:ident: $axis:ident),+))? =
                $name:literal $({$($key:ident = $value:expr),+})? $(.$option:ident($($given:expr),*))*;
        )+
    ) => {
        $(#[$about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $table {
            $(#[doc = $help] $row $(($($axis),+))?,)+
        }

        impl $table {
            pub(super) const ROWS: &'static [MetricRow] = &[$(
                MetricRow::new(
                    $name,
                    $help.trim_ascii(),
                    MetricKind::$kind,
                    &[$($((stringify!($key), $value)),+)?],
                    &[$($(catalogue!(@axis $label $axis)),+)?],
                )
                $(.$option($($given),*))*
            ),+];

            #[cfg(test)]
            const WRITTEN_AS: &'static [&'static str] =
                &[$(concat!(stringify!($table), "::", stringify!($row))),+];

            const PLACES: [usize; Self::ROWS.len() + 1] = places(Self::ROWS, $start);

            /// Where the next table begins.
            pub(super) const END: usize = Self::PLACES[Self::ROWS.len()];

            /// The first of this series' cells, dense over all tables.
            #[inline]
            pub(super) const fn index(self) -> usize {
                let (row, series) = self.place();
                Self::PLACES[row] + series * Self::ROWS[row].cells_per_series()
            }

            /// Its row.
            #[inline]
            pub(super) const fn row(self) -> &'static MetricRow {
                &Self::ROWS[self.place().0]
            }

            /// The row, and which of its series.
            #[inline]
            const fn place(self) -> (usize, usize) {
                enum Place { $($row),+ }
                match self {$(
                    $table::$row $(($($label),+))? => {
                        let series = 0;
                        $($(let series = series * $axis::WORDS.len() + $label as usize;)+)?
                        (Place::$row as usize, series)
                    }
                )+}
            }
        }
    };
    // A page is two labels to a query.
    (@axis page $axis:ident) => { Axis { label: "method route", words: $axis::WORDS } };
    (@axis $label:ident $axis:ident) => {
        Axis { label: stringify!($label), words: $axis::WORDS }
    };
}

pub(super) use catalogue;
