//! A connect command without a token, until the application's backend has said who its client is.
//!
//! Deliberately absent: when a backend is asked (`awaiting_connect`), and what follows for a peer
//! that is let in (`connect`).

use std::sync::Arc;

use super::backlog::Backlog;
use super::connect::{ConnectOrigin, PendingConnect};
use super::hook_replies::refuse;
use super::quota::Quota;
use super::tokens::{ConnectCommandError, authenticate, is_lasting, payload, stamp};
use super::{Context, Effect, Fault, HookAsk, HookThen, SessionOutput};
use crate::auth::{BackendGrant, Claims};
use crate::base::{ClientId, UserHash};
use crate::hook::{
    ConnectQuestion, HookAsker, HookHeaders, HookQuestion, HookReply, HookRequest, HookResult,
};
use crate::metrics::Agent;
use crate::wire::{self, Command, ConnectRequest, Encoding, ErrorCode, Payload, RawData, Request};

/// See the module.
#[derive(Debug)]
pub(super) struct AskedConnect {
    id: u32,
    /// What the command says for the time when it is answered, encoded again, because the buffer
    /// that it borrowed from is gone by then.
    command: Backlog,
    /// Later commands, encoded again.
    held: Backlog,
    /// What the connection will be called.
    client: ClientId,
    origin: ConnectOrigin,
    headers: Option<Arc<HookHeaders>>,
    agent: Agent,
}

impl AskedConnect {
    /// Asks the backend about the client of command `id`.
    pub fn ask(
        cx: &mut Context<'_>,
        (id, request): (u32, ConnectRequest<'_>),
        (origin, agent): (ConnectOrigin, Agent),
        headers: Option<Arc<HookHeaders>>,
        out: &mut SessionOutput,
    ) -> AskedConnect {
        let client = ClientId::from_random(cx.random.ids.draw_u128());
        let encoding = out.encoding();
        let question = HookQuestion::Connect(Box::new(ConnectQuestion {
            data: request.data.as_ref().map(RawData::to_payload),
            name: Box::from(&*request.name),
            version: Box::from(&*request.version),
            channels: request.subs.iter().map(|sub| Box::from(&*sub.channel)).collect(),
        }));
        let mut command = Backlog::default();
        // The backend has the rest of it.
        let rest = ConnectRequest { subs: request.subs, ..ConnectRequest::default() };
        let pushed = command.push(encoding, &Command { id, request: Request::Connect(rest) });
        assert_eq!(pushed, Ok(()), "one always fits");
        let asker = HookAsker {
            client,
            encoding,
            user: Box::default(),
            tenant: Arc::default(),
            meta: None,
            headers: headers.clone(),
        };
        let (user, asked) = (UserHash::NOBODY, HookRequest { asker, question });
        let (held_bytes, then) = (command.bytes(), HookThen::Connect);
        let ask = HookAsk { user, request: asked, held_bytes, then };
        out.effect(Effect::AskBackend(Box::new(ask)));
        AskedConnect { id, command, held: Backlog::default(), client, origin, headers, agent }
    }

    /// Adds a later command, if the limits allow it.
    pub fn hold(&mut self, encoding: Encoding, command: &Command<'_>) -> Result<(), ErrorCode> {
        self.held.push(encoding, command)
    }

    /// What its later commands and its own cost.
    pub fn origin(&self) -> ConnectOrigin {
        self.origin
    }

    /// The backend has answered. Returns the peer that is let in; where none is, the session ends.
    pub fn on_reply(
        self,
        cx: &mut Context<'_>,
        reply: HookReply,
        quota: &mut Quota,
        out: &mut SessionOutput,
    ) -> Option<PendingConnect> {
        let (id, agent) = (self.id, self.agent);
        let HookReply::Result(HookResult::Grant(grant)) = reply else {
            let fault = fault_of(&reply);
            refuse(id, reply, out);
            fault.into_iter().for_each(|fault| out.close(fault));
            return None;
        };
        match self.connecting(cx, grant, out.encoding()) {
            Ok(connecting) => connecting.admit(cx, agent, quota, out),
            Err(ConnectCommandError::Refuse(code)) => {
                out.refuse(id, code);
                out.close(Fault::Refused(code));
                None
            }
            Err(ConnectCommandError::Close(fault)) => {
                out.close(fault);
                None
            }
        }
    }

    fn connecting(
        self,
        cx: &mut Context<'_>,
        grant: Option<Box<BackendGrant>>,
        encoding: Encoding,
    ) -> Result<PendingConnect, ConnectCommandError> {
        let AskedConnect { id, command, held, client, origin, headers, .. } = self;
        let (claims, data) = match grant {
            Some(grant) if !is_lasting(cx, &grant) => {
                return Err(ConnectCommandError::Close(Fault::Expired));
            }
            Some(grant) => claims_of(*grant),
            // It knows nothing of the client: as without a hook.
            None => (authenticate(cx, "")?, None),
        };
        let message = command.into_message();
        let Some(Ok(Command { request: Request::Connect(request), .. })) =
            wire::commands(encoding, &message).next()
        else {
            unreachable!("what was a connect command is one");
        };
        let connecting = PendingConnect::of_claims(cx, (id, &request), claims, (client, origin))?;
        // The backend's word counts as a token of this moment.
        let token = stamp(cx, "", "", Some(cx.now.unix_s()));
        let connecting = connecting.with_token(token).with_answer_data(data);
        Ok(connecting.with_held(held).with_headers(cx, headers))
    }
}

/// What a backend says of a peer, as a token would.
fn claims_of(grant: BackendGrant) -> (Claims, Option<Box<Payload>>) {
    let BackendGrant { user, tenant, expires_at_unix_s, options, channels, subs, meta, .. } = grant;
    let claims = Claims {
        user,
        expires_at_unix_s,
        info: options.info,
        channels,
        subs,
        meta,
        tenant,
        caps: grant.caps,
        unsupported: grant.unsupported,
        ..Claims::default()
    };
    (claims, options.data.map(|data| Box::new(payload(data))))
}

/// How the session of a client ends that is not let in.
fn fault_of(reply: &HookReply) -> Option<Fault> {
    match reply {
        HookReply::Disconnect(_) => None,
        HookReply::Error(error) if !error.is_temporary => {
            Some(Fault::Refused(ErrorCode::Unauthorized))
        }
        HookReply::Error(_) | HookReply::Busy => Some(Fault::Refused(ErrorCode::TooManyRequests)),
        HookReply::Failed | HookReply::Result(_) => Some(Fault::Refused(ErrorCode::Internal)),
    }
}
