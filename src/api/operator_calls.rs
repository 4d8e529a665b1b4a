//! Calls of operators' programs: what they ask of cores, and what they are answered.
//!
//! Deliberately absent: how questions travel.

use std::borrow::Cow;
use std::sync::Arc;

use super::questions::Questions;
use crate::auth::{ApiKey, ApiScope};
use crate::base::limits::API_READ_QUESTIONS;
use crate::shard::{
    ChannelsQuestion, ChannelsWanted, ConnectionPage, KnownConnection, PageOfConnections, RankBy,
    RankPlace, ServerAsk, TopRooms, UserOp, UserQuestion,
};
use crate::wire::api::{
    ApiConnectionsPage, ApiKnownConnection, ApiOperatorAnswer, ApiRankedRoom, ApiRoomMeasure,
    ApiRoomsPage,
};
use crate::wire::{Encoding, ErrorCode};

/// Asks every core for a page of connections; the question's index.
pub(super) fn connections(
    key: &ApiKey,
    page: ApiConnectionsPage<'_>,
    questions: &mut Questions,
) -> Result<usize, ErrorCode> {
    let ApiConnectionsPage { user, client, after, limit } = page;
    if !key.scopes.contains(ApiScope::Connections) {
        return Err(ErrorCode::PermissionDenied);
    }
    let covered = key.channels.clone();
    let op = UserOp::Page(PageOfConnections { after, connections_max: limit, covered });
    let tenant = key.tenant.clone();
    questions.ask_user(UserQuestion { tenant, user: user.into(), client, op })
}

/// Asks every core for a page of rooms; the question's index.
pub(super) fn rooms(
    key: &ApiKey,
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
    channels(key, &pattern, wants, questions)
}

/// Asks every core about its channels, of those that the key covers; the question's index.
pub(super) fn channels(
    key: &ApiKey,
    pattern: &str,
    wants: ChannelsWanted,
    questions: &mut Questions,
) -> Result<usize, ErrorCode> {
    if !key.scopes.contains(ApiScope::Channels) {
        return Err(ErrorCode::PermissionDenied);
    }
    let (tenant, covered) = (key.tenant.clone(), key.channels.clone());
    let question = ChannelsQuestion { tenant, covered, pattern: pattern.into(), wants };
    questions.ask_for(ServerAsk::Channels(Arc::new(question)), API_READ_QUESTIONS)
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
