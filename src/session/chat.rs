//! Chat's own methods: what a connected peer says, has read, and wants to know
//! about others.

use std::sync::Arc;

use super::names::{Kind, conversation};
use super::outcome::Refusal;
use super::requests::{namespace, unpublished};
use super::rights::{Grant, Standing};
use super::state::Context;
use super::target::{Done, Target, grant};
use super::tracer::Birth;
use super::{Effect, INBOX_NAMESPACE, Outcome, Session};
use crate::auth::Allow;
use crate::base::{ClientId, ConnId, Csprng, RoomId, ShardId};
use crate::metrics::ChatType;
use crate::room::{
    ConversationsPage, Delivery, Draft, IdSource, MembersPage, Posted, Power, Progress,
    ReceiptsPage, Retraction, Voice, What, ack_key,
};
use crate::store::{self, Marks, Reached};
use crate::wire::chat::{self, Conversation, Field, Method, Receipt, Said, Verb};
use crate::wire::{Answer, ErrorCode, ID_TAG, Payload, RawData, TRACE_TAG};

/// What is said, and how.
pub(super) struct Words<'r> {
    pub(super) data: &'r RawData<'r>,
    pub(super) tags: Vec<(Box<str>, Box<str>)>,
    pub(super) id_source: IdSource,
    /// Outside of conversations, where it is always `Voice::Send`.
    pub(super) voice: Voice,
    /// In conversations; 0 for as long as may be.
    pub(super) ttl_ms: u64,
    /// By the client's clock.
    pub(super) sent_at_unix_ms: Option<u64>,
}

impl Session {
    /// One of chat's methods, by its name behind the prefix.
    pub(super) fn chat(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        name: &str,
        data: &[u8],
        out: &mut Outcome,
    ) -> Done {
        let method = Method::named(name).ok_or(ErrorCode::MethodNotFound)?;
        let verb = method.read(data).map_err(Refusal::from);
        let done = verb.as_ref().map_err(|refusal| *refusal);
        let done = done.and_then(|verb| self.verb(cx, id, verb, out));
        if let Err(refusal) = done
            && let Method::Publish | Method::Send = method
        {
            let chat_type = match (&verb, method) {
                (Ok(Verb::Publish { channel, .. }), _) => {
                    cx.rooms.chat_type(namespace(cx, channel))
                }
                (_, Method::Send) => ChatType::OneToOne,
                (_, _) => ChatType::Group,
            };
            out.unpublished.push((chat_type, unpublished(refusal.code())));
        }
        done
    }

    fn verb(&mut self, cx: &mut Context<'_>, id: u32, verb: &Verb<'_>, out: &mut Outcome) -> Done {
        match verb {
            Verb::Publish { channel, said } => self.post(cx, id, channel, said, out),
            Verb::Send { to, said, ttl_s } => self.send_to(cx, id, to, said, *ttl_s, out),
            Verb::Ack { channel, offset, took_ms } => {
                let room = self.mark(cx, id, channel, Reached::Delivered(*offset), out)?;
                let key = ack_key(room, *offset);
                out.effects.push(Effect::Acknowledged { key, took_ms: *took_ms });
                Ok(())
            }
            Verb::Read { channel, offset } => {
                self.mark(cx, id, channel, Reached::Read(*offset), out).map(drop)
            }
            Verb::Typing { channel } => self.typing(cx, id, channel, out),
            Verb::Retract { channel, offset } => self.retract(cx, id, channel, *offset, out),
            // A question that waits for no answer is none.
            Verb::Receipts { .. } | Verb::Rooms { .. } | Verb::Members { .. } if id == 0 => Ok(()),
            Verb::Receipts { channel, after, limit } => {
                self.receipts(cx, id, channel, after, *limit, out)
            }
            Verb::Rooms { after, limit } => self.rooms(cx, id, after, *limit, out),
            Verb::Members { channel, after, limit } => {
                self.members(cx, id, channel, *after, *limit, out)
            }
        }
    }

    /// Something is said in a channel, by whatever command.
    pub(super) fn say(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        target: &Target<'_, '_>,
        words: Words<'_>,
        out: &mut Outcome,
    ) -> Done {
        if (target.rules.data_bytes_max as usize) < words.data.bytes.len() {
            return Err(ErrorCode::LimitExceeded.into());
        }
        self.check(cx, target, target.rules.publish, Allow::PUBLISH)?;
        let peer = self.peer()?;
        let voice = match target.kind.other_than(&peer.info.user) {
            None => words.voice,
            // It waits for its reader, so there has to be a place for it.
            Some(_) if !target.rules.keeps_history() => {
                return Err(ErrorCode::NotAvailable.into());
            }
            Some(other) => Voice::Send {
                from: cx.names.inbox(peer.tenant(), &peer.info.user),
                to: cx.names.inbox(peer.tenant(), other),
                ttl_ms: words.ttl_ms,
            },
        };
        let chan_info = peer.channel(target.room).and_then(|extra| extra.chan_info.clone());
        let birth = Birth {
            tags: &words.tags,
            sent_at_unix_ms: words.sent_at_unix_ms,
            chat_type: target.rules.chat_type(),
            agent: self.agent,
        };
        let (trace, way) = cx.tracer.begin(cx.now, &mut cx.chance.ids, cx.conn, &birth);
        let draft = Draft {
            title: self.title_if_needed(target),
            data: words.data.to_payload(),
            info: Some(Arc::clone(&peer.info)),
            chan_info,
            tags: words.tags,
            id_source: words.id_source,
            voice,
            trace,
            way,
        };
        self.ask(cx, target.room, id, What::Publish(Box::new(draft)), out);
        Ok(())
    }

    fn post(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        channel: &str,
        said: &Said<'_>,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, channel)?;
        let (tags, id_source) = (tags(said, &mut cx.chance.ids), id_source(said));
        let sent_at_unix_ms = said.sent_at_ms;
        let words = Words {
            data: &said.data,
            tags,
            id_source,
            voice: Voice::Post,
            ttl_ms: 0,
            sent_at_unix_ms,
        };
        self.say(cx, id, &target, words, out)
    }

    fn send_to(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        to: &str,
        said: &Said<'_>,
        ttl_s: Option<u64>,
        out: &mut Outcome,
    ) -> Done {
        let user = &*self.peer()?.info.user;
        // Who has no name, or one that cannot stand beside another, has no conversations.
        if user.is_empty() || user.contains([',', '#']) {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let channel = conversation(user, to).ok_or(Field::To)?;
        let target = self.target(cx, &channel)?;
        let (tags, id_source) = (tags(said, &mut cx.chance.ids), id_source(said));
        let ttl_ms = ttl_s.map_or(0, |ttl_s| ttl_s.saturating_mul(1_000));
        let sent_at_unix_ms = said.sent_at_ms;
        let words = Words {
            data: &said.data,
            tags,
            id_source,
            voice: Voice::Post,
            ttl_ms,
            sent_at_unix_ms,
        };
        self.say(cx, id, &target, words, out)
    }

    fn mark(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        channel: &str,
        reached: Reached,
        out: &mut Outcome,
    ) -> Result<RoomId, Refusal> {
        let target = self.target(cx, channel)?;
        self.check_reading(cx, &target)?;
        let peer = self.peer()?;
        let user = named(&peer.info.user)?;
        let inbox = |user: &str| cx.names.inbox(peer.tenant(), user);
        let progress = Progress {
            title: self.title_if_needed(&target),
            info: Arc::clone(&peer.info),
            inbox: inbox(user),
            reached,
            other: target.kind.other_than(user).map(inbox),
        };
        self.ask(cx, target.room, id, What::Mark(Box::new(progress)), out);
        Ok(target.room)
    }

    fn receipts(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        channel: &str,
        after: &str,
        count_max: u32,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, channel)?;
        self.check_reading(cx, &target)?;
        let title = self.title_if_needed(&target);
        let page = ReceiptsPage { title, after: after.into(), count_max };
        self.ask(cx, target.room, id, What::Receipts(Box::new(page)), out);
        Ok(())
    }

    /// The user's own personal channel knows them.
    fn rooms(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        after: &str,
        count_max: u32,
        out: &mut Outcome,
    ) -> Done {
        let peer = self.peer()?;
        let user = named(&peer.info.user)?;
        let channel = format!("{INBOX_NAMESPACE}{user}");
        // Without such a namespace nobody has one.
        let target = self.target(cx, &channel).map_err(|_| ErrorCode::NotAvailable)?;
        let (title, user, after) = (target.title(), user.into(), after.into());
        let page = ConversationsPage { title, user, after, count_max };
        self.ask(cx, target.room, id, What::Conversations(Box::new(page)), out);
        Ok(())
    }

    fn members(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        channel: &str,
        after: Option<(ShardId, ConnId)>,
        count_max: u32,
        out: &mut Outcome,
    ) -> Done {
        let page = MembersPage { after, count_max };
        self.presence(cx, id, channel, What::Members(page), out)
    }

    /// Who is in the channel may do it, and the two of a conversation anyway: they
    /// may know it from their personal channels only.
    fn typing(&mut self, cx: &Context<'_>, id: u32, channel: &str, out: &mut Outcome) -> Done {
        let target = self.target(cx, channel)?;
        let is_there = match target.kind {
            Kind::Conversation(_) => true,
            Kind::Inbox(_) | Kind::Open => self.standing(target.room) == Standing::Subscribed,
        };
        if !is_there {
            return Err(ErrorCode::PermissionDenied.into());
        }
        self.check(cx, &target, target.rules.publish, Allow::PUBLISH)?;
        let peer = self.peer()?;
        let info = Arc::clone(&peer.info);
        let other = target.kind.other_than(&info.user);
        let inbox = other.map(|other| cx.names.inbox(peer.tenant(), other));
        self.ask(cx, target.room, id, What::Typing(Arc::clone(&info)), out);
        if let Some(inbox) = inbox {
            // The other one may not be subscribed to the conversation now.
            let delivery = Delivery::Typing { channel: Arc::from(channel), info };
            self.ask(cx, inbox, 0, What::Deliver(Box::new(delivery)), out);
        }
        Ok(())
    }

    fn retract(
        &mut self,
        cx: &mut Context<'_>,
        id: u32,
        channel: &str,
        offset: u64,
        out: &mut Outcome,
    ) -> Done {
        let target = self.target(cx, channel)?;
        let power = self.power(cx, &target)?;
        match power {
            Power::Moderator if target.rules.keeps_history() => (),
            Power::Moderator => return Err(ErrorCode::NotAvailable.into()),
            Power::Author => self.check_reading(cx, &target)?,
        }
        let peer = self.peer()?;
        let inbox = |user: &str| cx.names.inbox(peer.tenant(), user);
        let voice = match target.kind.other_than(&peer.info.user) {
            None => Voice::Post,
            Some(other) => {
                Voice::Send { from: inbox(&peer.info.user), to: inbox(other), ttl_ms: 0 }
            }
        };
        let (data, tag) = chat::retraction(offset);
        let tags = vec![(ID_TAG.into(), made_id(&mut cx.chance.ids)), tag];
        let birth = Birth {
            tags: &tags,
            sent_at_unix_ms: None,
            chat_type: target.rules.chat_type(),
            agent: self.agent,
        };
        let (trace, way) = cx.tracer.begin(cx.now, &mut cx.chance.ids, cx.conn, &birth);
        let draft = Draft {
            title: self.title_if_needed(&target),
            data,
            info: Some(Arc::clone(&peer.info)),
            chan_info: None,
            tags,
            id_source: IdSource::Server,
            voice,
            trace,
            way,
        };
        let retraction = Retraction { draft, offset, power };
        self.ask(cx, target.room, id, What::Retract(Box::new(retraction)), out);
        Ok(())
    }

    /// A moderator is whom a token calls so, where it has any business at all.
    fn power(&self, cx: &Context<'_>, target: &Target<'_, '_>) -> Result<Power, ErrorCode> {
        let by_token = grant(self.allowance(target)?, Allow::MODERATE) == Grant::Given;
        let admitted = target.kind.admits(&self.peer()?.info.user);
        let moderates = admitted && (by_token || cx.options.insecure);
        Ok(if moderates { Power::Moderator } else { Power::Author })
    }
}

/// Whether this method's answer may be long: a list.
pub(super) fn has_long_answer(method: &str) -> bool {
    matches!(method, "chat.rooms" | "chat.receipts" | "chat.members")
}

/// The answer to something that was said, by the command that said it: only the
/// protocol's publish gives no id.
pub(super) fn on_posted(id: u32, posted: &Posted, out: &mut Outcome) {
    if posted.id.is_empty() {
        out.answer(id, Answer::Publish);
    } else {
        let data = chat::posted(&posted.channel, posted.position, &posted.id);
        out.answer(id, Answer::Rpc { data: &data });
    }
}

/// The answer to `chat.receipts`.
pub(super) fn receipts(page: &[(Box<str>, Marks)], next: Option<&str>) -> Payload {
    let all = page.iter().map(|(user, marks)| Receipt {
        user,
        delivered: marks.delivered,
        read: marks.read,
    });
    chat::receipts(all, next)
}

/// The answer to `chat.rooms`.
pub(super) fn conversations(page: &[store::Conversation], next: Option<&str>) -> Payload {
    let all = page.iter().map(|one| Conversation {
        channel: &one.channel,
        head: one.head,
        delivered: one.marks.delivered,
        read: one.marks.read,
        unread: one.unread,
        last: one.last.as_deref(),
    });
    chat::conversations(all, next)
}

/// How far somebody is, is kept by name.
fn named(user: &str) -> Result<&str, ErrorCode> {
    if user.is_empty() { Err(ErrorCode::PermissionDenied) } else { Ok(user) }
}

/// What goes with a message, in this order. Each has an id: the client's, or one
/// that is made here, and that is the id of its trace, too, if it came without one.
fn tags(said: &Said<'_>, ids: &mut Csprng) -> Vec<(Box<str>, Box<str>)> {
    let id = said.id.as_deref().map_or_else(|| made_id(ids), Box::from);
    let mut tags: Vec<(Box<str>, Box<str>)> = vec![(ID_TAG.into(), id)];
    if let Some(traceparent) = &said.traceparent {
        tags.push((TRACE_TAG.into(), Box::from(&**traceparent)));
    }
    if let Some(sent_at_ms) = said.sent_at_ms {
        tags.push(("sent_at_ms".into(), sent_at_ms.to_string().into_boxed_str()));
    }
    tags
}

/// A version 4 UUID, as a client's identity is one.
fn made_id(ids: &mut Csprng) -> Box<str> {
    ClientId::from_random(ids.draw_u128()).to_string().into()
}

fn id_source(said: &Said<'_>) -> IdSource {
    if said.id.is_some() { IdSource::Client } else { IdSource::Server }
}
