//! Calls of operators' programs: what they ask is the key's tenant, in channels that it covers, and
//! has the bounds of a page and of a request.

use super::*;
use crate::shard::{ChannelsWanted, PageOfConnections};

fn operator(method: ApiOperatorMethod) -> ApiMethod {
    ApiMethod::Operator(method)
}

/// The only question of a call.
fn asked(key: &ApiKey, method: ApiOperatorMethod, body: &Value) -> ServerAsk {
    let (_, mut questions) = planned(key, operator(method), body);
    assert_eq!(questions.len(), 1);
    questions.pop().expect("one question").ask
}

#[test]
fn a_page_of_connections_is_of_the_keys_tenant_and_names_what_it_covers() {
    let key = key(&[ApiScope::Connections]);
    let body = json!({ "user": "anna", "limit": 7 });
    let ServerAsk::User(question) = asked(&key, ApiOperatorMethod::ConnectionsList, &body) else {
        panic!("every core is asked")
    };
    assert_eq!((&*question.tenant, &*question.user), ("t", "anna"));
    let UserOp::Page(PageOfConnections { connections_max, covered, .. }) = &question.op else {
        panic!("{question:?}")
    };
    assert_eq!((*connections_max, covered), (7, &key.channels));
}

#[test]
fn a_page_of_rooms_has_the_bound_that_was_asked_for() {
    let key = key(&[ApiScope::Channels]);
    let body = json!({ "limit": 7 });
    let ServerAsk::Channels(question) = asked(&key, ApiOperatorMethod::RoomsTop, &body) else {
        panic!("every core is asked")
    };
    assert_eq!((&*question.tenant, &question.covered), ("t", &key.channels));
    assert!(matches!(question.wants, ChannelsWanted::Top { rooms_max: 7, .. }), "{question:?}");
}

#[test]
fn the_server_itself_is_for_keys_without_a_tenant() {
    let all = |tenant: &str| ApiKey { tenant: tenant.into(), ..key(&ApiScope::ALL) };
    let denied = ApiPlan::Error(ApiRequestError::Code(ErrorCode::PermissionDenied));
    for (method, body) in [
        (ApiOperatorMethod::QuarantineList, json!({})),
        (ApiOperatorMethod::QuarantineSet, json!({ "prefix": "~~go" })),
        (ApiOperatorMethod::QuarantineLift, json!({ "prefix": "~~go" })),
        (ApiOperatorMethod::DrainStart, json!({ "instance": "node-1" })),
        (ApiOperatorMethod::DrainStatus, json!({})),
    ] {
        assert_eq!(planned(&all("t"), operator(method), &body).0, denied, "{method:?}");
        assert_eq!(planned(&all(""), operator(method), &body).0, ApiPlan::Control(method, 0));
    }
}

#[test]
fn one_request_asks_the_control_thread_and_the_list_of_blocks_so_often_and_no_more() {
    let key = ApiKey { tenant: "".into(), ..key(&ApiScope::ALL) };
    let most = API_REQUEST_QUESTIONS_MAX / API_READ_QUESTIONS;
    for call in [json!({ "quarantine.list": {} }), json!({ "blocks": { "kind": "user" } })] {
        let body = json!({ "commands": vec![call; most + 1] });
        let (plan, _) = planned(&key, ApiMethod::Batch, &body);
        let ApiPlan::Batch(plans) = plan else { panic!("{plan:?}") };
        let full = ApiPlan::Error(ApiRequestError::Code(ErrorCode::LimitExceeded));
        assert!(plans[..most].iter().all(|plan| !matches!(plan, ApiPlan::Error(_))));
        assert_eq!(plans[most], full);
    }
}
