//! One try to give a part of a message to its robot.
//!
//! Deliberately absent: when, and what follows from the answer (`core`).

use super::client::{Ask, Client, Failed, Way};
use crate::alert::core::Request;
use crate::alert::core::answer::{self, Answer};
use crate::alert::options::{Channel, Options};

/// How long a robot may take to answer, in ms.
const ROBOT_MS_MAX: u64 = 10_000;

/// One try. Nothing of the URL may be told: it holds the token.
pub(super) async fn send(client: &Client, request: &Request, options: &Options) -> Answer {
    let robot = options.robots.iter().find(|robot| robot.name == request.robot);
    let ask = Ask {
        url: &request.url,
        way: Way::of_setting(robot.map_or("", |robot| &robot.proxy)),
        json: Some(request.body.clone()),
        post: true,
        bearer: &request.bearer,
        id: if request.channel == Channel::Webhook { &request.id } else { "" },
        ms_max: ROBOT_MS_MAX,
        bytes_max: 64 << 10,
    };
    match client.ask_in_part(ask).await {
        Ok(answer) => answer::read(request.channel, &answer),
        Err(Failed::ByProxy(status)) => {
            let robot = &request.robot;
            tracing::warn!("robot {robot}: the proxy does not lead there ({status})");
            Answer::Unreachable
        }
        Err(Failed::Unreachable) => Answer::Unreachable,
        Err(Failed::Doubtful) => Answer::Doubtful,
    }
}
