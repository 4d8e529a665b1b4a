//! What a backend says in a channel, by the server API: a message without an author.
//!
//! Deliberately absent: who may, and the place of the message (`room`).

use super::Context;
use super::tracer::TracedMessage;
use crate::metrics::Agent;
use crate::room::{ChannelKey, IdSource, PublishMode, RoomPublish};
use crate::wire::{ID_TAG, Payload};

/// A message of a backend.
#[derive(Clone, Debug)]
pub struct ServerPublish {
    /// The channel.
    pub channel_key: ChannelKey,
    /// What is published.
    pub data: Payload,
    /// What goes with it.
    pub tags: Vec<(Box<str>, Box<str>)>,
    /// The backend may repeat the message under this id; `None` for one that is made here.
    pub id: Option<Box<str>>,
}

impl ServerPublish {
    /// The message, before it has a place; its trace begins here.
    pub fn into_room_publish(self, cx: &mut Context<'_>) -> RoomPublish {
        let ServerPublish { channel_key, data, mut tags, id } = self;
        let id_source = if id.is_some() { IdSource::Client } else { IdSource::Server };
        let id = id.unwrap_or_else(|| super::publishing::made_id(&mut cx.random.ids));
        tags.insert(0, (ID_TAG.into(), id));
        let rules = &cx.rooms.namespaces[usize::from(channel_key.namespace)];
        let traced = TracedMessage {
            tags: &tags,
            sent_at_unix_ms: None,
            chat_type: rules.chat_type(),
            agent: Agent::Other,
        };
        let (trace, timing) = cx.tracer.begin(cx.now, &mut cx.random.ids, cx.conn, &traced);
        RoomPublish {
            channel_key: Some(channel_key),
            data,
            info: None,
            chan_info: None,
            tags,
            id_source,
            mode: PublishMode::Post,
            trace,
            timing,
        }
    }
}
