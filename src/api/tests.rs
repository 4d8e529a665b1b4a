//! What calls lead to, and who may make them.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::auth::{ApiKey, ApiKeyHash, ApiScope};
use crate::base::ClientId;
use crate::base::limits::{
    API_CHANNELS_LISTED_MAX, API_CONNECTIONS_MAX, API_READ_QUESTIONS, API_REQUEST_QUESTIONS_MAX,
};
use crate::metrics::Agent;
use crate::room::{Namespace, PublishAck, RoomOp, RoomReply};
use crate::session::NameKey;
use crate::shard::{CoresReply, ServerAsk, ServerOp, ServerReply, UserConnection, UserOp};
use crate::wire::api::{ApiAnswer, ApiMethod, ApiNode, ApiRequestError, parse_call};
use crate::wire::{Encoding, Epoch, ErrorCode, Position};

fn namespaces() -> Vec<Namespace> {
    let named = |name: &str| Namespace {
        name: name.to_owned(),
        presence: true,
        history_count_max: 10,
        data_bytes_max: 100,
        ..Namespace::default()
    };
    let bare = Namespace { presence: false, history_count_max: 0, ..named("bare") };
    vec![named("room"), bare, named("@"), named("dm")]
}

fn key(scopes: &[ApiScope]) -> ApiKey {
    ApiKey {
        name: "shop".into(),
        hash: ApiKeyHash::of(b""),
        scopes: scopes.iter().copied().collect(),
        tenant: "t".into(),
        channels: ["room:*", "bare:*", "@*", "dm#*", "none:*"].map(Into::into).to_vec(),
    }
}

fn planned(key: &ApiKey, method: ApiMethod, body: &Value) -> (ApiPlan, Vec<Question>) {
    let namespaces = namespaces();
    let caller = Caller { key, names: NameKey([1, 2]), namespaces: &namespaces };
    let (body, mut questions) = (body.to_string(), Questions::default());
    let plan = plan(&caller, parse_call(method, body.as_bytes()), &mut questions);
    assert!(questions.cost() <= API_REQUEST_QUESTIONS_MAX);
    (plan, questions.into_list())
}

#[track_caller]
fn check_refused(method: ApiMethod, body: Value, code: ErrorCode) {
    let (plan, questions) = planned(&key(&ApiScope::ALL), method, &body);
    assert_eq!(plan, ApiPlan::Error(ApiRequestError::Code(code)), "{body}");
    assert!(questions.is_empty());
}

#[test]
fn a_call_is_for_channels_that_exist_and_can_do_it() {
    use ApiMethod::{History, Presence, PresenceStats, Publish};
    let publish = |channel: &str| json!({ "channel": channel, "data": 1 });
    check_refused(Publish, publish("none:1"), ErrorCode::UnknownChannel);
    check_refused(Publish, publish("dm#a,b"), ErrorCode::NotAvailable);
    check_refused(Publish, publish("dm#b,a"), ErrorCode::UnknownChannel);
    let large = json!({ "channel": "room:1", "data": "a".repeat(100) });
    check_refused(Publish, large, ErrorCode::LimitExceeded);
    let bare = json!({ "channel": "bare:1" });
    check_refused(Presence, bare.clone(), ErrorCode::NotAvailable);
    check_refused(PresenceStats, bare.clone(), ErrorCode::NotAvailable);
    check_refused(History, bare, ErrorCode::NotAvailable);
}

#[test]
fn who_may_not_ask_does_not_learn_what_exists() {
    for channel in ["lobby", "news:1", "other:1"] {
        let body = json!({ "channel": channel, "data": 1 });
        check_refused(ApiMethod::Publish, body, ErrorCode::PermissionDenied);
    }
    let body = |channel: &str, method: ApiMethod| {
        let mut body = json!({ "channel": channel, "user": "anna", "expired": true });
        if method == ApiMethod::Publish {
            body["data"] = json!(1);
        }
        body
    };
    for (method, needed) in [
        (ApiMethod::Publish, ApiScope::Publish),
        (ApiMethod::Presence, ApiScope::Presence),
        (ApiMethod::PresenceStats, ApiScope::Presence),
        (ApiMethod::History, ApiScope::History),
        (ApiMethod::Info, ApiScope::Info),
        (ApiMethod::Channels, ApiScope::Channels),
        (ApiMethod::Connections, ApiScope::Connections),
        (ApiMethod::Disconnect, ApiScope::Connections),
        (ApiMethod::Subscribe, ApiScope::Connections),
        (ApiMethod::Unsubscribe, ApiScope::Connections),
        (ApiMethod::Refresh, ApiScope::Connections),
    ] {
        let others: Vec<ApiScope> =
            ApiScope::ALL.into_iter().filter(|&scope| scope != needed).collect();
        for channel in ["room:1", "none:1"] {
            let body = body(channel, method);
            let denied = ApiPlan::Error(ApiRequestError::Code(ErrorCode::PermissionDenied));
            assert_eq!(planned(&key(&others), method, &body).0, denied, "{method:?}");
        }
        let body = body("room:1", method);
        let (plan, _) = planned(&key(&[needed]), method, &body);
        assert!(!matches!(plan, ApiPlan::Error(_)), "{method:?}");
    }
}

#[test]
fn a_publish_is_in_the_tenants_room_and_carries_its_key() {
    let body =
        json!({ "channel": "room:1", "data": 1, "idempotency_key": "k", "tags": { "a": "b" } });
    let (plan, questions) = planned(&key(&ApiScope::ALL), ApiMethod::Publish, &body);
    assert_eq!(plan, ApiPlan::Publish(0));
    let ServerAsk::Room(room, ServerOp::Publish(publish)) = &questions[0].ask else {
        panic!("{questions:?}")
    };
    assert_eq!(*room, NameKey([1, 2]).room("t", "room:1"));
    assert_eq!((&*publish.channel_key.tenant, &*publish.channel_key.channel), ("t", "room:1"));
    assert_eq!(publish.id.as_deref(), Some("k"));
    assert_eq!(publish.tags, [("a".into(), "b".into())]);
}

fn posted(offset: u64) -> ServerReply {
    let position = Position { offset, epoch: Epoch(1) };
    ServerReply::Room(RoomReply::Posted(Box::new(PublishAck {
        channel: Arc::from("room:1"),
        position,
        id: "".into(),
        timing: None,
    })))
}

#[test]
fn each_answer_stands_where_its_question_stood() {
    let body = json!({ "commands": [
        { "publish": { "channel": "room:1", "data": 1 } },
        { "publish": { "channel": "none:1", "data": 1 } },
        { "broadcast": { "channels": ["room:2", "lobby", "bare:3"], "data": 1 } },
        { "presence_stats": { "channel": "room:1" } },
        { "info": {} },
    ] });
    let (plan, questions) = planned(&key(&ApiScope::ALL), ApiMethod::Batch, &body);
    assert_eq!(questions.len(), 4);
    let last = &questions[3].ask;
    assert!(matches!(last, ServerAsk::Room(_, ServerOp::Room(RoomOp::PresenceStats))));
    let stats = ServerReply::Room(RoomReply::PresenceStats { clients: 3, users: 2 });
    let replies = [posted(7), posted(8), posted(0), stats];
    let node = || ApiNode { uid: "n".to_owned(), ..ApiNode::default() };
    let ApiAnswer::Batch(answers) = answer(&plan, &replies, &node) else { panic!("{plan:?}") };
    let place = |offset| Some(Position { offset, epoch: Epoch(1) });
    assert!(matches!(&answers[0], ApiAnswer::Published(position) if *position == place(7)));
    let unknown = ApiRequestError::Code(ErrorCode::UnknownChannel);
    assert!(matches!(&answers[1], ApiAnswer::Error(error) if *error == unknown));
    let ApiAnswer::Broadcast(told) = &answers[2] else { panic!("{answers:?}") };
    assert_eq!(*told, [Ok(place(8)), Err(ErrorCode::PermissionDenied), Ok(None)]);
    assert!(matches!(answers[3], ApiAnswer::PresenceStats { clients_count: 3, users_count: 2 }));
    assert!(matches!(&answers[4], ApiAnswer::Info(node) if node.uid == "n"));
}

#[test]
fn what_a_room_refuses_is_told() {
    let body = json!({ "channel": "room:1", "data": 1 });
    let (plan, _) = planned(&key(&ApiScope::ALL), ApiMethod::Publish, &body);
    for (reply, code) in [
        (RoomReply::Rejected(ErrorCode::TooManyRequests), ErrorCode::TooManyRequests),
        (RoomReply::Done, ErrorCode::Internal),
    ] {
        let replies = [ServerReply::Room(reply)];
        let told = answer(&plan, &replies, &ApiNode::default);
        let want = ApiRequestError::Code(code);
        assert!(matches!(told, ApiAnswer::Error(error) if error == want), "{told:?}");
    }
}

#[test]
fn a_request_leads_to_so_many_questions_and_no_more() {
    let channels: Vec<String> = (0..1_000).map(|n| format!("room:{n}")).collect();
    let broadcast = json!({ "broadcast": { "channels": channels, "data": 1 } });
    let body = json!({ "commands": vec![broadcast; 10] });
    let (plan, questions) = planned(&key(&ApiScope::ALL), ApiMethod::Batch, &body);
    assert_eq!(questions.len(), API_REQUEST_QUESTIONS_MAX);
    let ApiPlan::Batch(plans) = plan else { panic!("{plan:?}") };
    let ApiPlan::Broadcast(last) = &plans[9] else { panic!("{plans:?}") };
    assert!(last.iter().all(|one| *one == Err(ErrorCode::LimitExceeded)));

    let history = json!({ "history": { "channel": "room:1", "limit": -1 } });
    let body = json!({ "commands": vec![history; 100] });
    let (_, questions) = planned(&key(&ApiScope::ALL), ApiMethod::Batch, &body);
    assert_eq!(questions.len(), API_REQUEST_QUESTIONS_MAX / API_READ_QUESTIONS);
}

#[test]
fn what_many_channels_are_told_is_copied_once() {
    let body = json!({ "channels": ["room:1", "room:2"], "data": "a text" });
    let (_, questions) = planned(&key(&ApiScope::ALL), ApiMethod::Broadcast, &body);
    let places: Vec<*const u8> = questions
        .iter()
        .map(|question| match &question.ask {
            ServerAsk::Room(_, ServerOp::Publish(publish)) => publish.data.bytes.as_ptr(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(places[0], places[1]);
}

/// What a call about a user leads to.
fn asked_of_user(method: ApiMethod, body: &Value) -> (ApiPlan, UserOp) {
    let (plan, mut questions) = planned(&key(&ApiScope::ALL), method, body);
    let Some(Question { ask: ServerAsk::User(question), .. }) = questions.pop() else {
        panic!("{plan:?}")
    };
    assert_eq!((&*question.tenant, &*question.user), ("t", "anna"));
    (plan, question.op.clone())
}

#[test]
fn connections_are_closed_as_the_backend_says() {
    let close = |disconnect: Value| {
        let body = json!({ "user": "anna", "disconnect": disconnect });
        match asked_of_user(ApiMethod::Disconnect, &body).1 {
            UserOp::Close { code, reason, .. } => (code, reason),
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(close(json!(null)), (3503, "force disconnect".into()));
    assert_eq!(close(json!({ "code": 0, "reason": "" })), (3503, "force disconnect".into()));
    assert_eq!(close(json!({ "code": 4000 })), (4000, "".into()));
    assert_eq!(close(json!({ "reason": "banned" })), (3503, "banned".into()));
}

#[test]
fn what_cores_say_of_a_user_is_one_answer() {
    let (plan, _) = asked_of_user(ApiMethod::Connections, &json!({ "user": "anna" }));
    let found = |count: u128| {
        let connection = |n| UserConnection {
            client: ClientId::from_random(n),
            agent: Agent::Python,
            encoding: Encoding::Json,
        };
        ServerReply::Cores(CoresReply::Connections((0..count).map(connection).collect()))
    };
    let replies = [found(2).joined(found(0)).joined(found(1))];
    let told = answer(&plan, &replies, &ApiNode::default);
    let ApiAnswer::Connections("anna", all) = told else { panic!("{told:?}") };
    assert_eq!((all.len(), all[0].app_name, all[0].protocol), (3, "python", "json"));
    let replies = [found(API_CONNECTIONS_MAX as u128).joined(found(1)).joined(found(0))];
    let told = answer(&plan, &replies, &ApiNode::default);
    let want = ApiRequestError::Code(ErrorCode::LimitExceeded);
    assert!(matches!(told, ApiAnswer::Error(error) if error == want), "{told:?}");

    let (plan, _) = asked_of_user(ApiMethod::Disconnect, &json!({ "user": "anna" }));
    let done = || ServerReply::Cores(CoresReply::Done);
    let replies = [done().joined(done())];
    let told = answer(&plan, &replies, &ApiNode::default);
    assert!(matches!(told, ApiAnswer::Done(ApiMethod::Disconnect)), "{told:?}");
}

#[test]
fn a_user_is_subscribed_where_the_user_may_be_and_the_key_covers() {
    let subscribe = |channel: &str| json!({ "user": "anna", "channel": channel, "info": 1 });
    let (plan, op) = asked_of_user(ApiMethod::Subscribe, &subscribe("room:1"));
    let UserOp::Subscribe { room, channel_key, chan_info: Some(info) } = op else {
        panic!("{plan:?}")
    };
    assert_eq!(room, NameKey([1, 2]).room("t", "room:1"));
    assert_eq!((&*channel_key.tenant, &*channel_key.channel), ("t", "room:1"));
    assert_eq!((&*info.bytes, info.is_json), (&b"1"[..], true));
    asked_of_user(ApiMethod::Subscribe, &subscribe("dm#anna,bob"));
    let unsubscribe = |channel: &str| json!({ "user": "anna", "channel": channel });
    asked_of_user(ApiMethod::Unsubscribe, &unsubscribe("dm#anna,bob"));
    for channel in ["@bob", "dm#bob,carl", "news:1"] {
        check_refused(ApiMethod::Subscribe, subscribe(channel), ErrorCode::PermissionDenied);
        check_refused(ApiMethod::Unsubscribe, unsubscribe(channel), ErrorCode::PermissionDenied);
    }
    check_refused(ApiMethod::Subscribe, subscribe("none:1"), ErrorCode::UnknownChannel);
    check_refused(ApiMethod::Unsubscribe, unsubscribe("@anna"), ErrorCode::NotAvailable);
}

#[test]
fn channels_are_those_of_the_key_and_fit_the_pattern() {
    let ask = |body: Value| {
        let (plan, mut questions) = planned(&key(&ApiScope::ALL), ApiMethod::Channels, &body);
        match questions.pop() {
            Some(Question { ask: ServerAsk::Channels(question), .. }) => (plan, question),
            other => panic!("{other:?}"),
        }
    };
    let (plan, question) = ask(json!({ "pattern": "room:a*" }));
    assert_eq!((&*question.tenant, &*question.pattern), ("t", "room:a*"));
    assert_eq!(question.covered, key(&[]).channels);
    assert_eq!(&*ask(json!({})).1.pattern, "*");
    let told = |names: &[&str]| {
        let channels = names.iter().map(|&name| (Arc::from(name), 2)).collect();
        ServerReply::Cores(CoresReply::Channels(channels))
    };
    let replies = [told(&["room:a"]).joined(told(&[])).joined(told(&["room:ab"]))];
    let answered = answer(&plan, &replies, &ApiNode::default);
    let ApiAnswer::Channels(channels) = answered else { panic!("{answered:?}") };
    assert_eq!(channels, [("room:a".into(), 2), ("room:ab".into(), 2)]);
    let many = vec!["room:1"; API_CHANNELS_LISTED_MAX];
    let replies = [told(&many).joined(told(&["room:2"]))];
    let answered = answer(&plan, &replies, &ApiNode::default);
    let want = ApiRequestError::Code(ErrorCode::LimitExceeded);
    assert!(matches!(answered, ApiAnswer::Error(error) if error == want), "{answered:?}");
}
