//! Calls of operators' programs: what they ask of cores, and what they are answered.
//!
//! Deliberately absent: how questions travel.

use std::borrow::Cow;

use super::plan::{Caller, Questions};
use crate::auth::ApiScope;
use crate::shard::{
    ChannelsWanted, ConnectionPage, KnownConnection, PageOfConnections, RankBy, RankPlace,
    TopRooms, UserOp, UserQuestion,
};
use crate::wire::api::{
    ApiConnectionsPage, ApiKnownConnection, ApiOperatorAnswer, ApiOperatorCall, ApiOperatorMethod,
    ApiRankedRoom, ApiRoomMeasure, ApiRoomsPage,
};
use crate::wire::{Encoding, ErrorCode};

/// The method of a call, and the index of its question.
pub(super) fn ask_operator(
    caller: &Caller<'_>,
    call: ApiOperatorCall<'_>,
    questions: &mut Questions,
) -> Result<(ApiOperatorMethod, usize), ErrorCode> {
    match call {
        ApiOperatorCall::Connections(page) => {
            let index = connections(caller, page, questions)?;
            Ok((ApiOperatorMethod::ConnectionsList, index))
        }
        ApiOperatorCall::Rooms(page) => {
            Ok((ApiOperatorMethod::RoomsTop, rooms(caller, page, questions)?))
        }
    }
}

fn connections(
    caller: &Caller<'_>,
    page: ApiConnectionsPage<'_>,
    questions: &mut Questions,
) -> Result<usize, ErrorCode> {
    let ApiConnectionsPage { user, client, after, limit } = page;
    if !caller.key.scopes.contains(ApiScope::Connections) {
        return Err(ErrorCode::PermissionDenied);
    }
    let covered = caller.key.channels.clone();
    let op = UserOp::Page(PageOfConnections { after, connections_max: limit, covered });
    let tenant = caller.key.tenant.clone();
    questions.ask_user(UserQuestion { tenant, user: user.into(), client, op })
}

fn rooms(
    caller: &Caller<'_>,
    page: ApiRoomsPage<'_>,
    questions: &mut Questions,
) -> Result<usize, ErrorCode> {
    let ApiRoomsPage { by, pattern, after, limit } = page;
    let by = match by {
        ApiRoomMeasure::Clients => RankBy::Members,
        ApiRoomMeasure::MessageRate => RankBy::MessageRate,
    };
    let after = after.map(|(value, channel)| RankPlace { value, channel: channel.into() });
    let wants = ChannelsWanted::Top { by, after, rooms_max: limit };
    caller.ask_channels(&pattern, wants, questions)
}

/// A page of connections, as it is told.
pub(super) fn told_connections(page: &ConnectionPage) -> ApiOperatorAnswer<'_> {
    let connections = page.connections().iter().map(known).collect();
    ApiOperatorAnswer::Connections { connections, is_full: page.is_full() }
}

fn known(connection: &KnownConnection) -> ApiKnownConnection<'_> {
    ApiKnownConnection {
        client: connection.client,
        address: connection.address,
        agent: connection.agent.word(),
        protocol: protocol_of(connection.encoding),
        age_ms: connection.age_ms,
        channels: &connection.channels,
        channels_count: connection.channels_count,
    }
}

/// A page of rooms, as it is told.
pub(super) fn told_rooms(top: &TopRooms) -> ApiOperatorAnswer<'_> {
    let by = match top.by() {
        RankBy::Members => ApiRoomMeasure::Clients,
        RankBy::MessageRate => ApiRoomMeasure::MessageRate,
    };
    let rooms = top.rooms().iter().map(|room| ApiRankedRoom {
        channel: Cow::Borrowed(&room.channel_key.channel),
        clients_count: room.members_count,
        messages_per_min: room.messages_per_min,
    });
    ApiOperatorAnswer::Rooms { by, rooms: rooms.collect(), is_full: top.is_full() }
}

/// What an encoding is called.
pub(super) fn protocol_of(encoding: Encoding) -> &'static str {
    match encoding {
        Encoding::Json => "json",
        Encoding::Protobuf => "protobuf",
    }
}
