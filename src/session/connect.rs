//! From the connect command to its answer: who the peer is, and the
//! subscriptions that the server makes for it.

use std::sync::Arc;

use super::backlog::Backlog;
use super::identity::{Birth, Peer};
use super::names::{INBOX_NAMESPACE, Kind, namespace_of};
use super::position_seal::{Owner, Reader, Since, seal};
use super::state::Context;
use super::target::reader;
use super::{Fault, Outcome};
use crate::auth::{Allow, Claims, Remedy};
use crate::base::{ClientId, RoomId, Tick};
use crate::metrics::Agent;
use crate::room::{Entry, Title, Welcome};
use crate::wire::{
    Answer, ClientInfo, ConnectRequest, ConnectResult, ErrorCode, Payload, Position,
    SubscribeRequest, SubscribeResult,
};

/// A connect command that waits for rooms.
#[derive(Debug)]
pub struct Connecting {
    /// The command.
    pub id: u32,
    /// Who it is.
    pub peer: Peer,
    /// Subscriptions by the server, in the order of the token.
    pub wanted: Vec<Wanted>,
    /// Commands that came meanwhile, encoded again: SDKs send connect and
    /// subscribe in one frame.
    pub held: Backlog,
    /// When the upgrade was done.
    pub since: Tick,
    /// What the messages cost that are in `wanted`.
    pub recovery_bytes: usize,
}

/// One subscription that the server makes.
#[derive(Debug)]
pub struct Wanted {
    /// Which room.
    pub room: RoomId,
    /// Its name.
    pub title: Title,
    /// What the client saw last of it.
    pub since: Option<Since>,
    /// What the home said; `None` until it did.
    pub welcome: Option<Welcome>,
}

/// Why a connect command fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// The client may do something about it.
    Refuse(ErrorCode),
    /// It is over.
    Close(Fault),
}

/// What the client's program is: what its `User-Agent` said, or, where that said
/// nothing, what the SDK calls itself.
pub fn agent(by_header: Agent, sdk: &str) -> Agent {
    match (by_header, sdk) {
        (Agent::None | Agent::Other, "js" | "centrifuge-js") => Agent::Node,
        (Agent::None | Agent::Other, "python" | "centrifuge-python") => Agent::Python,
        (Agent::None | Agent::Other, "go" | "centrifuge-go") => Agent::Go,
        (Agent::None | Agent::Other, "java" | "centrifuge-java") => Agent::Java,
        (Agent::None | Agent::Other, "dart" | "centrifuge-dart") => Agent::Dart,
        (Agent::None | Agent::Other, "swift" | "centrifuge-swift") => Agent::Swift,
        (said, _) => said,
    }
}

/// What a token says, or what holds without one.
pub fn authenticate(cx: &Context<'_>, token: &str) -> Result<Claims, Denial> {
    if token.is_empty() {
        let open = cx.options.insecure || cx.options.anonymous;
        return if open {
            Ok(Claims::default())
        } else {
            Err(Denial::Refuse(ErrorCode::Unauthorized))
        };
    }
    cx.keys.connection(token, cx.now.unix_s()).map_err(|fault| match fault.remedy() {
        Remedy::FreshToken => Denial::Refuse(ErrorCode::TokenExpired),
        Remedy::Patience => Denial::Refuse(ErrorCode::TooManyRequests),
        Remedy::None => Denial::Close(Fault::InvalidToken),
    })
}

/// The peer that the claims describe, and what the server subscribes it to.
pub fn admit(
    cx: &mut Context<'_>,
    id: u32,
    request: &ConnectRequest<'_>,
    claims: Claims,
    birth: Birth,
) -> Result<Connecting, Denial> {
    let conn_info = claims.info.map(|info| Box::new(json_payload(info)));
    let client = ClientId::from_random(cx.chance.ids.draw_u128());
    let info = ClientInfo { user: claims.user, client, conn_info };
    let counted_as = cx.options.tenants.of(&claims.tenant);
    let mut peer =
        Peer::new(info, claims.expires_at_unix_s, claims.tenant, counted_as, claims.caps);
    peer.birth = birth;
    let wanted = wanted(cx, &peer, claims.channels, &request.subs)?;
    let (held, since) = (Backlog::default(), cx.now.tick);
    Ok(Connecting { id, peer, wanted, held, since, recovery_bytes: 0 })
}

/// The subscriptions that the server makes for a peer: those that its token names, and
/// its inbox. `subs` says what the client had of them before.
pub fn wanted(
    cx: &Context<'_>,
    peer: &Peer,
    channels: Vec<Box<str>>,
    subs: &[SubscribeRequest<'_>],
) -> Result<Vec<Wanted>, Denial> {
    let inbox = personal_channel(cx, &peer.info.user);
    let mut wanted: Vec<Wanted> = Vec::new();
    for channel in channels.into_iter().chain(inbox) {
        let Some(namespace) = namespace_of(&cx.rooms.namespaces, &channel) else {
            return Err(Denial::Refuse(ErrorCode::UnknownChannel));
        };
        // No token makes somebody else's channel one's own.
        if Kind::of(&channel).is_none_or(|kind| !kind.admits(&peer.info.user)) {
            return Err(Denial::Refuse(ErrorCode::PermissionDenied));
        }
        let room = cx.names.room(peer.tenant(), &channel);
        if wanted.iter().any(|one| one.room == room) {
            continue;
        }
        if cx.options.channels_max as usize <= wanted.len() {
            return Err(Denial::Refuse(ErrorCode::LimitExceeded));
        }
        let recovering = subs.iter().find(|sub| *sub.channel == *channel && sub.recover);
        let keeps_history = cx.rooms.namespaces[usize::from(namespace)].keeps_history();
        let recovering = recovering.filter(|_| keeps_history);
        let rules = &cx.rooms.namespaces[usize::from(namespace)];
        let reader = reader(cx, peer, &channel, rules, Allow::NONE);
        let owner = Owner { room, user: &peer.info.user };
        let since = recovering.map(|sub| Since::read(cx, owner, reader, sub.offset, &sub.epoch));
        let tenant = peer.shared_tenant();
        let title = Title { tenant, channel: Arc::from(channel), namespace };
        wanted.push(Wanted { room, title, since, welcome: None });
    }
    Ok(wanted)
}

impl Connecting {
    /// True when every room has answered.
    pub fn is_complete(&self) -> bool {
        self.wanted.iter().all(|one| one.welcome.is_some())
    }

    /// What each of its rooms is asked.
    pub fn entries(&self) -> impl Iterator<Item = (RoomId, Entry)> {
        self.wanted.iter().map(|one| {
            let entry = Entry {
                title: one.title.clone(),
                info: Arc::clone(&self.peer.info),
                chan_info: None,
                since: one.since.map(|since| since.position),
            };
            (one.room, entry)
        })
    }

    /// The answer to the connect command.
    pub fn answer(&self, cx: &Context<'_>, ping_interval_ms: u64, out: &mut Outcome) {
        let results = self.wanted.iter().map(|one| {
            let welcome = one.welcome.as_ref().expect("it is complete");
            let rules = &cx.rooms.namespaces[usize::from(one.title.namespace)];
            let owner = Owner { room: one.room, user: &self.peer.info.user };
            let channel = &one.title.channel;
            let reader = reader(cx, &self.peer, channel, rules, Allow::NONE);
            let own_from = one.since.map(|since| since.own_from);
            let result = SubscribeResult {
                recoverable: rules.keeps_history(),
                positioned: rules.keeps_history(),
                ..subscribe_result(cx, owner, reader, own_from, welcome)
            };
            (&*one.title.channel, result)
        });
        let result = ConnectResult {
            client: self.peer.info.client,
            version: concat!("rookery ", env!("CARGO_PKG_VERSION")),
            expires_in_s: self.peer.expires_unix_s().map(|end| left_s(cx, end)),
            subs: results.collect(),
            ping_s: u32::try_from(ping_interval_ms.div_ceil(1_000)).unwrap_or(u32::MAX),
            pong: cx.options.pong_ms_max != 0 && ping_interval_ms != 0,
            time_unix_ms: cx.now.unix_ms,
            node: &cx.options.node,
        };
        out.answer(self.id, Answer::Connect(result));
    }
}

/// What a welcome means to a client; flags about later are the caller's. `own_from` is
/// from where on what it recovered is its own.
pub fn subscribe_result<'w>(
    cx: &Context<'_>,
    owner: Owner<'_>,
    reader: Reader,
    own_from: Option<u64>,
    welcome: &'w Welcome,
) -> SubscribeResult<'w> {
    use crate::room::Recovery;
    let own_from = own_from.filter(|_| welcome.recovery == Recovery::Whole);
    let sealed = welcome
        .position
        .and_then(|head| seal(cx, owner, reader, head.epoch, own_from.unwrap_or(head.offset)));
    SubscribeResult {
        position: welcome.position,
        seal: sealed,
        publications: &welcome.missed,
        recovered: welcome.recovery == Recovery::Whole,
        was_recovering: welcome.recovery != Recovery::NotAsked,
        ..SubscribeResult::default()
    }
}

/// Seconds until `end_unix_s`, at least one: 0 would mean never.
pub fn left_s(cx: &Context<'_>, end_unix_s: u64) -> u32 {
    let left = end_unix_s.saturating_sub(cx.now.unix_s()).max(1);
    u32::try_from(left).unwrap_or(u32::MAX)
}

/// A client's place in a stream, as it wrote it.
pub fn position(offset: u64, epoch: &str) -> Position {
    Position { offset, epoch: crate::wire::Epoch::parse(epoch) }
}

/// JSON from a verified token.
pub fn json_payload(json: Box<[u8]>) -> Payload {
    Payload { bytes: bytes::Bytes::from(json), is_json: true }
}

fn personal_channel(cx: &Context<'_>, user: &str) -> Option<Box<str>> {
    let has_inboxes = cx.rooms.namespaces.iter().any(|one| one.name == INBOX_NAMESPACE);
    let wanted = has_inboxes && !user.is_empty();
    wanted.then(|| format!("{INBOX_NAMESPACE}{user}").into_boxed_str())
}
