//! What calls lead to, and who may make them.

mod chat;
mod dead_letters;
mod operators;

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;
use crate::auth::{ApiKey, ApiScope, SecretHash};
use crate::base::ClientId;
use crate::base::limits::{
    API_CHANNELS_LISTED_MAX, API_CONNECTIONS_MAX, API_READ_QUESTIONS, API_REQUEST_QUESTIONS_MAX,
};
use crate::blocks::{
    AddressRange, BlockChange, BlockPage, BlockScope, BlockStorage, BlockTarget, BlockTerms,
};
use crate::metrics::Agent;
use crate::room::{Namespace, PublishAck, RoomOp, RoomReply};
use crate::session::NameKey;
use crate::shard::{CoresReply, ServerAsk, ServerOp, ServerReply, UserConnection, UserOp};
use crate::wire::api::{
    ApiAnswer, ApiBlockKind, ApiField, ApiMethod, ApiNode, ApiOperatorMethod, ApiRequestError,
    parse_call, write_answer,
};
use crate::wire::{Encoding, Epoch, ErrorCode, Position};

/// When all calls are made.
const NOW_UNIX_S: u64 = 1_700_000_000;

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
        hash: SecretHash::of(b""),
        scopes: scopes.iter().copied().collect(),
        tenant: "t".into(),
        channels: ["room:*", "bare:*", "@*", "dm#*", "none:*"].map(Into::into).to_vec(),
    }
}

fn planned(key: &ApiKey, method: ApiMethod, body: &Value) -> (ApiPlan, Vec<Question>) {
    let namespaces = namespaces();
    let caller =
        Caller { key, names: NameKey([1, 2]), namespaces: &namespaces, now_unix_s: NOW_UNIX_S };
    let (body, mut questions) = (body.to_string(), Questions::default());
    let plan = plan(&caller, parse_call(method, body.as_bytes()), &mut questions);
    assert!(questions.cost() <= API_REQUEST_QUESTIONS_MAX);
    (plan, questions.into_list())
}

/// What a request led to that changes nothing of who is kept out.
fn led_to(questions: Vec<ServerReply>) -> ApiReplies {
    ApiReplies { questions, ..ApiReplies::default() }
}

#[track_caller]
fn check_refused(method: ApiMethod, body: Value, code: ErrorCode) {
    let (plan, questions) = planned(&key(&ApiScope::ALL), method, &body);
    assert_eq!(plan, ApiPlan::Error(ApiRequestError::Code(code)), "{body}");
    assert!(questions.is_empty());
}

#[test]
fn a_call_is_for_channels_that_exist_and_can_do_it() {
    use ApiMethod::{History, HistoryRemove, Presence, PresenceStats, Publish};
    let publish = |channel: &str| json!({ "channel": channel, "data": 1 });
    check_refused(Publish, publish("none:1"), ErrorCode::UnknownChannel);
    check_refused(Publish, publish("dm#a,b"), ErrorCode::NotAvailable);
    check_refused(Publish, publish("dm#b,a"), ErrorCode::UnknownChannel);
    let large = json!({ "channel": "room:1", "data": "a".repeat(100) });
    check_refused(Publish, large, ErrorCode::LimitExceeded);
    let bare = json!({ "channel": "bare:1" });
    check_refused(Presence, bare.clone(), ErrorCode::NotAvailable);
    check_refused(PresenceStats, bare.clone(), ErrorCode::NotAvailable);
    check_refused(History, bare.clone(), ErrorCode::NotAvailable);
    check_refused(HistoryRemove, bare, ErrorCode::NotAvailable);
}

#[test]
fn who_may_not_ask_does_not_learn_what_exists() {
    for channel in ["lobby", "news:1", "other:1"] {
        let body = json!({ "channel": channel, "data": 1 });
        check_refused(ApiMethod::Publish, body, ErrorCode::PermissionDenied);
    }
    let body = |channel: &str, method: ApiMethod| {
        let mut body = json!({
            "channel": channel, "channels": [channel], "user": "anna", "expired": true, "offsets": [1],
            "uid": "1", "address": "203.0.113.7", "kind": "user", "to": "bob", "offset": 1,
            "prefix": "~~go", "instance": "node-1", "member": "bob", "role": "admin",
        });
        if matches!(method, ApiMethod::Publish | ApiMethod::Broadcast | ApiMethod::Chat(_)) {
            body["data"] = json!(1);
        }
        if method == ApiMethod::InvalidateUserTokens {
            body["channel"] = json!("");
        }
        body
    };
    // Addresses are of all tenants.
    let key = |scopes: &[ApiScope]| ApiKey { tenant: "".into(), ..key(scopes) };
    for method in ApiMethod::ALL {
        let Some(needed) = scope_of(method) else { continue };
        let others: Vec<ApiScope> =
            ApiScope::ALL.into_iter().filter(|&scope| scope != needed).collect();
        for channel in ["room:1", "none:1"] {
            let body = body(channel, method);
            let denied = ErrorCode::PermissionDenied;
            let want = match method {
                ApiMethod::Broadcast => ApiPlan::Broadcast(vec![Err(denied)]),
                _ => ApiPlan::Error(ApiRequestError::Code(denied)),
            };
            assert_eq!(planned(&key(&others), method, &body).0, want, "{method:?}");
        }
        let channel = match method {
            ApiMethod::Operator(
                ApiOperatorMethod::DeadLettersRequeue | ApiOperatorMethod::DeadLettersDrop,
            ) => "dm#ann,bob",
            _ => "room:1",
        };
        let body = body(channel, method);
        let (plan, _) = planned(&key(&[needed]), method, &body);
        let is_done = match &plan {
            ApiPlan::Broadcast(channels) => channels[0].is_ok(),
            plan => !matches!(plan, ApiPlan::Error(_)),
        };
        assert!(is_done, "{method:?}");
    }
}

#[test]
fn a_history_is_removed_and_the_two_of_a_conversation_are_told() {
    let removed = |channel: &str| {
        let body = json!({ "channel": channel });
        let (plan, questions) =
            planned(&key(&[ApiScope::HistoryRemove]), ApiMethod::HistoryRemove, &body);
        assert_eq!(plan, ApiPlan::HistoryRemove(0));
        let ServerAsk::Room(room, ServerOp::Room(RoomOp::RemoveHistory(removal))) =
            &questions[0].ask
        else {
            panic!("{questions:?}")
        };
        assert_eq!(*room, NameKey([1, 2]).room("t", channel));
        assert_eq!((&*removal.channel_key.tenant, &*removal.channel_key.channel), ("t", channel));
        let told = |reply| {
            let replies = led_to(vec![ServerReply::Room(reply)]);
            let mut text = bytes::BytesMut::new();
            write_answer(&answer(&plan, &replies, &ApiNode::default), &mut text);
            String::from_utf8(text.to_vec()).unwrap()
        };
        assert_eq!(told(RoomReply::Done), r#"{"result":{}}"#);
        assert!(told(RoomReply::Rejected(ErrorCode::Internal)).contains(r#""code":100"#));
        removal.parties
    };
    assert_eq!(removed("room:1"), None);
    let names = NameKey([1, 2]);
    assert_eq!(removed("dm#ann,bob"), Some(["ann", "bob"].map(|user| names.inbox("t", user))));
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
    let replies = led_to(vec![posted(7), posted(8), posted(0), stats]);
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
        let replies = led_to(vec![ServerReply::Room(reply)]);
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
    let replies = led_to(vec![found(2).joined(found(0)).joined(found(1))]);
    let told = answer(&plan, &replies, &ApiNode::default);
    let ApiAnswer::Connections("anna", all) = told else { panic!("{told:?}") };
    assert_eq!((all.len(), all[0].app_name, all[0].protocol), (3, "python", "json"));
    let replies =
        led_to(vec![found(API_CONNECTIONS_MAX as u128).joined(found(1)).joined(found(0))]);
    let told = answer(&plan, &replies, &ApiNode::default);
    let want = ApiRequestError::Code(ErrorCode::LimitExceeded);
    assert!(matches!(told, ApiAnswer::Error(error) if error == want), "{told:?}");

    let (plan, _) = asked_of_user(ApiMethod::Disconnect, &json!({ "user": "anna" }));
    let done = || ServerReply::Cores(CoresReply::Done);
    let replies = led_to(vec![done().joined(done())]);
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
    let replies = led_to(vec![told(&["room:a"]).joined(told(&[])).joined(told(&["room:ab"]))]);
    let answered = answer(&plan, &replies, &ApiNode::default);
    let ApiAnswer::Channels(channels) = answered else { panic!("{answered:?}") };
    assert_eq!(channels, [("room:a".into(), 2), ("room:ab".into(), 2)]);
    let many = vec!["room:1"; API_CHANNELS_LISTED_MAX];
    let replies = led_to(vec![told(&many).joined(told(&["room:2"]))]);
    let answered = answer(&plan, &replies, &ApiNode::default);
    let want = ApiRequestError::Code(ErrorCode::LimitExceeded);
    assert!(matches!(answered, ApiAnswer::Error(error) if error == want), "{answered:?}");
}

fn changed(key: &ApiKey, method: ApiMethod, body: Value) -> (ApiPlan, Vec<BlockChange>) {
    let namespaces = namespaces();
    let names = NameKey([1, 2]);
    let caller = Caller { key, names, namespaces: &namespaces, now_unix_s: NOW_UNIX_S };
    let (body, mut questions) = (body.to_string(), Questions::default());
    let plan = plan(&caller, parse_call(method, body.as_bytes()), &mut questions);
    let changes = questions.take_block_asks().unwrap_or_default().changes;
    assert!(questions.into_list().is_empty());
    (plan, changes)
}

#[test]
fn a_call_about_who_is_kept_out_is_a_change() {
    let (tenant, all) = (Box::<str>::from("t"), key(&ApiScope::ALL));
    let now = NOW_UNIX_S as u32;
    let terms = |until_unix_s, issued_before_unix_s| {
        Some(BlockTerms { until_unix_s, issued_before_unix_s })
    };
    let user = || BlockTarget::User { tenant: tenant.clone(), user: "anna".into() };
    let tokens = || BlockTarget::UserTokens { tenant: tenant.clone(), user: "anna".into() };
    let token = BlockTarget::Token { tenant: tenant.clone(), id: "t1".into() };
    use ApiMethod::{BlockUser, InvalidateUserTokens, RevokeToken, UnblockUser};
    for (method, body, target, want) in [
        (BlockUser, json!({ "user": "anna" }), user(), terms(0, 0)),
        (BlockUser, json!({ "user": "anna", "expire_at": now + 1 }), user(), terms(now + 1, 0)),
        (UnblockUser, json!({ "user": "anna" }), user(), None),
        (RevokeToken, json!({ "uid": "t1", "expire_at": 0 }), token, terms(0, 0)),
        (InvalidateUserTokens, json!({ "user": "anna" }), tokens(), terms(0, now)),
        (
            InvalidateUserTokens,
            json!({ "user": "anna", "issued_before": 7, "channel": null }),
            tokens(),
            terms(0, 7),
        ),
    ] {
        let (plan, changes) = changed(&all, method, body);
        assert_eq!(plan, ApiPlan::Block(method, 0));
        assert_eq!(changes, [BlockChange { target, terms: want }]);
    }
    for (method, field, body) in [
        (BlockUser, ApiField::ExpireAt, json!({ "user": "anna", "expire_at": now })),
        (BlockUser, ApiField::ExpireAt, json!({ "user": "anna", "expire_at": -1 })),
        (BlockUser, ApiField::User, json!({})),
        (RevokeToken, ApiField::Uid, json!({ "uid": "" })),
        (RevokeToken, ApiField::Uid, json!({ "uid": "a".repeat(256) })),
        (InvalidateUserTokens, ApiField::Channel, json!({ "user": "anna", "channel": "room:1" })),
        (
            InvalidateUserTokens,
            ApiField::IssuedBefore,
            json!({ "user": "a", "issued_before": 1e3 }),
        ),
    ] {
        let (plan, changes) = changed(&all, method, body);
        assert_eq!(plan, ApiPlan::Error(ApiRequestError::Field(field)));
        assert!(changes.is_empty());
    }
    let without = key(&ApiScope::ALL.map(|one| match one {
        ApiScope::Blocks => ApiScope::Info,
        other => other,
    }));
    let denied = ApiPlan::Error(ApiRequestError::Code(ErrorCode::PermissionDenied));
    assert_eq!(changed(&without, BlockUser, json!({ "user": "anna" })).0, denied);
}

#[test]
fn addresses_are_of_all_tenants_and_no_key_of_one_blocks_them() {
    let block = |key: &ApiKey, address: &str| {
        changed(key, ApiMethod::BlockAddress, json!({ "address": address }))
    };
    let of_tenant = key(&ApiScope::ALL);
    let denied = ApiPlan::Error(ApiRequestError::Code(ErrorCode::PermissionDenied));
    assert_eq!(block(&of_tenant, "203.0.113.0/24").0, denied);
    let all = ApiKey { tenant: "".into(), ..of_tenant };
    let (plan, changes) = block(&all, "203.0.113.0/24");
    assert_eq!(plan, ApiPlan::Block(ApiMethod::BlockAddress, 0));
    let range = BlockTarget::Address(AddressRange::parse("203.0.113.0/24").unwrap());
    assert_eq!(
        changes,
        [BlockChange { target: range.clone(), terms: Some(BlockTerms::default()) }]
    );
    let body = json!({ "address": "203.0.113.0/24" });
    let (_, changes) = changed(&all, ApiMethod::UnblockAddress, body);
    assert_eq!(changes, [BlockChange { target: range, terms: None }]);
    let wrong = ApiPlan::Error(ApiRequestError::Field(ApiField::Address));
    assert_eq!(block(&all, "203.0.113.1/24").0, wrong);
    assert_eq!(block(&all, "everywhere").0, wrong);
}

#[test]
fn each_change_of_a_batch_has_its_own_outcome() {
    let commands = json!({ "commands": [
        { "block_user": { "user": "anna" } },
        { "block_user": { "user": "" } },
        { "unblock_user": { "user": "bob" } },
    ] });
    let (plan, changes) = changed(&key(&ApiScope::ALL), ApiMethod::Batch, commands);
    assert_eq!(changes.len(), 2);
    let outcomes = vec![Ok(BlockStorage::Disk), Err(ErrorCode::LimitExceeded)];
    let blocks = BlockReplies { changes: outcomes, ..BlockReplies::default() };
    let replies = ApiReplies { blocks, ..ApiReplies::default() };
    let mut body = bytes::BytesMut::new();
    write_answer(&answer(&plan, &replies, &ApiNode::default), &mut body);
    let told: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(told["replies"][0], json!({ "block_user": { "durable": true } }));
    assert_eq!(told["replies"][1]["error"]["message"], "bad request: user");
    assert_eq!(told["replies"][2]["error"]["code"], 106);
}

#[test]
fn blocks_are_told_in_pages_of_one_kind_and_the_keys_tenant() {
    let asked = |key: &ApiKey, body: Value| {
        let namespaces = namespaces();
        let names = NameKey([1, 2]);
        let caller = Caller { key, names, namespaces: &namespaces, now_unix_s: NOW_UNIX_S };
        let (body, mut questions) = (body.to_string(), Questions::default());
        let plan = plan(&caller, parse_call(ApiMethod::Blocks, body.as_bytes()), &mut questions);
        (plan, questions.take_block_asks().map(|asks| asks.pages).unwrap_or_default())
    };
    let all = key(&ApiScope::ALL);
    let user = |name: &str| BlockTarget::User { tenant: "t".into(), user: name.into() };
    let (first, pages) = asked(&all, json!({ "kind": "user", "limit": 2 }));
    assert_eq!(pages, [BlockPage { behind: user(""), scope: BlockScope::Tenant, limit: 2 }]);
    let (_, pages) = asked(&all, json!({ "kind": "user", "after": "bob" }));
    assert_eq!(pages, [BlockPage { behind: user("bob"), scope: BlockScope::Tenant, limit: 100 }]);
    for (field, body) in [
        (ApiField::Kind, json!({})),
        (ApiField::Kind, json!({ "kind": "planet" })),
        (ApiField::Limit, json!({ "kind": "user", "limit": 0 })),
        (ApiField::Limit, json!({ "kind": "user", "limit": 1_001 })),
        (ApiField::After, json!({ "kind": "address", "after": "everywhere" })),
    ] {
        assert_eq!(asked(&all, body).0, ApiPlan::Error(ApiRequestError::Field(field)));
    }
    let whole = ApiKey { tenant: "".into(), ..key(&ApiScope::ALL) };
    for kind in ApiBlockKind::ALL {
        let (_, pages) = asked(&whole, json!({ "kind": kind.name() }));
        assert_eq!(pages[0].behind.kind().word(), kind.name());
    }
    let denied = ApiPlan::Error(ApiRequestError::Code(ErrorCode::PermissionDenied));
    assert_eq!(asked(&all, json!({ "kind": "address" })).0, denied);
    assert_eq!(asked(&key(&[ApiScope::Info]), json!({ "kind": "user" })).0, denied);

    let ends = BlockTerms { until_unix_s: 7, issued_before_unix_s: 0 };
    let page = vec![(user("anna"), BlockTerms::default()), (user("bob"), ends)];
    let blocks = BlockReplies { pages: vec![page], ..BlockReplies::default() };
    let replies = ApiReplies { blocks, ..ApiReplies::default() };
    let mut body = bytes::BytesMut::new();
    write_answer(&answer(&first, &replies, &ApiNode::default), &mut body);
    let told: Value = serde_json::from_slice(&body).unwrap();
    let blocks = json!([{ "name": "anna" }, { "name": "bob", "expire_at": 7 }]);
    assert_eq!(told["result"], json!({ "blocks": blocks, "next": "bob" }));
}
