//! Sends a part of a message to its robot, once.
//!
//! Deliberately absent: retries, and the consequences of the answer (`core`).

use super::client::{Client, ClientError, ClientRequest, ClientRoute};
use crate::alert::core::SendRequest;
use crate::alert::core::answer::{self, SendOutcome};
use crate::alert::options::{Messenger, Options};

/// The time limit for a robot's answer, in ms.
const ROBOT_MS_MAX: u64 = 10_000;

/// Sends it once. Nothing of the URL may be logged: it contains the token.
pub(super) async fn send(client: &Client, request: &SendRequest, options: &Options) -> SendOutcome {
    let robot = options.robots.iter().find(|robot| robot.name == request.robot);
    let ask = ClientRequest {
        url: &request.url,
        way: ClientRoute::of_setting(robot.map_or("", |robot| &robot.proxy)),
        json: Some(request.body.clone()),
        post: true,
        bearer: &request.bearer,
        id: if request.channel == Messenger::Webhook { &request.id } else { "" },
        ms_max: ROBOT_MS_MAX,
        bytes_max: 64 << 10,
    };
    match client.ask_in_part(ask).await {
        Ok(answer) => answer::read(request.channel, &answer),
        Err(ClientError::ByProxy(status)) => {
            let robot = &request.robot;
            tracing::warn!("robot {robot}: the proxy does not lead there ({status})");
            SendOutcome::Unreachable
        }
        Err(ClientError::Unreachable) => SendOutcome::Unreachable,
        Err(ClientError::Unconfirmed) => SendOutcome::Unconfirmed,
    }
}
