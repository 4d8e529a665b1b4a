//! A fresh connection token, which takes the place of all that the one before said.

use std::sync::Arc;

use super::connect::{Denial, Wanted, json_payload, left_s, wanted};
use super::requests::token_refusal;
use super::rights::Standing;
use super::state::{Context, State};
use super::subs::{Maker, Removal, Stage, Sub};
use super::target::{Done, grant};
use super::{Effect, Fault, Outcome, Session};
use crate::auth::{Allow, Remedy};
use crate::base::RoomId;
use crate::room::{Entry, What};
use crate::wire::{Answer, ErrorCode};

impl Session {
    pub(super) fn refresh(
        &mut self,
        cx: &Context<'_>,
        id: u32,
        token: &str,
        out: &mut Outcome,
    ) -> Done {
        let claims = match cx.keys.connection(token, cx.now.unix_s()) {
            Ok(claims) => claims,
            // A backend's cache, or its clock. SDKs take a refusal for the end; from this
            // close they come back, and bring a fresh token.
            Err(fault) if fault.remedy() == Remedy::FreshToken => {
                self.close(Fault::Expired, out);
                return Ok(());
            }
            Err(fault) => return Err(token_refusal(fault).into()),
        };
        let peer = self.peer()?;
        if claims.user != peer.info.user || *claims.tenant != *peer.tenant() {
            return Err(ErrorCode::PermissionDenied.into());
        }
        let wanted = wanted(cx, peer, claims.channels, &[]).map_err(|denial| match denial {
            Denial::Refuse(code) => code,
            Denial::Close(_) => ErrorCode::PermissionDenied,
        })?;
        let fresh: Vec<&Wanted> =
            wanted.iter().filter(|one| self.subs.at(one.room).is_none()).collect();
        // Those that are no longer wanted make no room: they go when this is answered.
        if (cx.options.channels_max as usize) < self.subs.len() + fresh.len() {
            return Err(ErrorCode::LimitExceeded.into());
        }
        let peer = self.peer_mut()?;
        let conn_info = claims.info.map(|info| Box::new(json_payload(info)));
        peer.renew(claims.expires_at_unix_s, conn_info, claims.caps);
        let (client, info) = (peer.info.client, Arc::clone(&peer.info));
        let expires_in_s = claims.expires_at_unix_s.map(|end| left_s(cx, end));
        out.answer(id, Answer::Refresh { client, expires_in_s });
        for one in fresh {
            let title = one.title.clone();
            self.subs.insert(Sub::server(one.room, title.clone()));
            self.peer_mut()?.backlogs_mut().open(one.room);
            let entry = Entry { title, info: Arc::clone(&info), chan_info: None, since: None };
            self.ask(cx, one.room, 0, What::Subscribe(Box::new(entry)), out);
        }
        let rooms = wanted.iter().map(|one| one.room).collect();
        out.effects.push(Effect::Review(rooms));
        Ok(())
    }

    /// Ends what the tokens do not allow any more. `seated` are the channels that the
    /// session is in, by name, and `wanted` those that the server makes.
    pub fn review(
        &mut self,
        cx: &Context<'_>,
        seated: &[(RoomId, Arc<str>)],
        wanted: &[RoomId],
        out: &mut Outcome,
    ) {
        let asked = self.subs.iter().filter_map(|sub| match &sub.stage {
            Stage::Asked(asked) => Some((sub.room, Arc::clone(&asked.title.channel))),
            Stage::Seated(..) => None,
        });
        let mut all: Vec<(RoomId, Arc<str>)> = asked.collect();
        all.extend_from_slice(seated);
        for (room, channel) in all {
            let Some(sub) = self.subs.at(room) else { continue };
            let is_wanted = wanted.contains(&room);
            let stays = match sub.maker() {
                Maker::Server => is_wanted,
                // What the token names is made by the server, unless it is there already.
                Maker::Client => is_wanted || self.may_stay(cx, &channel, sub.allow()),
            };
            if !stays {
                self.unsubscribe_by_server(cx, room, &channel, Removal::Denied, out);
            }
        }
    }

    /// Whether it could subscribe now, with what its subscription's token says.
    fn may_stay(&self, cx: &Context<'_>, channel: &str, by_sub: Allow) -> bool {
        let (Ok(target), State::Ready(peer)) = (self.target(cx, channel), &self.state) else {
            return false;
        };
        let grant = grant(by_sub | peer.capability(channel), Allow::SUBSCRIBE);
        self.may(cx, &target, target.rules.subscribe, Standing::Outside, grant)
    }
}
