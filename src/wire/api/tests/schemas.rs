//! Schemas and readers against each other: for each field of each method what its schema takes
//! at each bound is taken, and one beyond it is refused; a field without a schema is not read.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Map, Value, json};
use utoipa::openapi::Schema;

use super::*;
use crate::base::limits::DATA_LEVELS_MAX;
use crate::wire::json_fields::FieldName;

/// Values of each kind.
fn kinds() -> [Value; 7] {
    [json!(null), json!(true), json!(7), json!(1.5), json!("b"), json!(["b"]), json!({ "b": 1 })]
}

/// What a schema says about one value.
struct Rule<'s>(&'s Value);

impl<'s> Rule<'s> {
    fn text(&self, keyword: &str) -> &'s str {
        self.0[keyword].as_str().unwrap_or_default()
    }

    fn count(&self, keyword: &str) -> Option<usize> {
        self.0[keyword].as_u64().map(|count| count as usize)
    }

    fn is_of(&self, kind: &str) -> bool {
        let kinds = &self.0["type"];
        kinds == kind || kinds.as_array().is_some_and(|kinds| kinds.contains(&json!(kind)))
    }

    /// The number behind a word in its format.
    fn bytes_max(&self, word: &str) -> Option<usize> {
        self.text("format").strip_prefix(word)?.parse().ok()
    }

    fn choices(&self) -> Vec<Rule<'s>> {
        self.0["anyOf"].as_array().into_iter().flatten().map(Rule).collect()
    }

    fn properties(&self) -> impl Iterator<Item = (&'s String, Rule<'s>)> + use<'s> {
        self.0["properties"]
            .as_object()
            .into_iter()
            .flatten()
            .map(|(name, rule)| (name, Rule(rule)))
    }

    fn required(&self) -> Vec<&'s str> {
        self.0["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// What has to be in an object.
    fn needed(&self) -> Map<String, Value> {
        let required = self.required();
        let properties = self.properties().filter(|(name, _)| required.contains(&name.as_str()));
        properties.map(|(name, rule)| (name.clone(), rule.sample())).collect()
    }

    /// A value that it takes, and that says something.
    fn sample(&self) -> Value {
        if let Some(words) = self.0["enum"].as_array() {
            return words[0].clone();
        }
        if let Some(choice) = self.choices().first() {
            return choice.sample();
        }
        if self.is_of("string") {
            return match (self.text("format"), self.text("pattern")) {
                ("address-range", _) => json!("203.0.113.7"),
                (_, pattern) if pattern.contains("{8}") => json!(CLIENT),
                (_, pattern) if pattern.contains("{0,96}") => json!("~a~python"),
                (_, pattern) if pattern.contains("{80}") => json!("a7".repeat(40)),
                (_, pattern) if pattern.contains("{20}") => json!("a7".repeat(10)),
                (_, pattern) if pattern.contains("==") => json!("AAEC"),
                (_, pattern) if pattern.starts_with("^00-") => json!(TRACEPARENT),
                _ => json!("a"),
            };
        }
        if self.is_of("integer") {
            let least = self.0["minimum"].as_u64().unwrap_or(0).max(1);
            return json!(self.0["maximum"].as_u64().map_or(least, |max| least.min(max)));
        }
        if self.is_of("array") {
            let items = Rule(&self.0["items"]);
            return (0..self.count("minItems").unwrap_or(0)).map(|_| items.sample()).collect();
        }
        if self.is_of("object") {
            let each = Rule(&self.0["additionalProperties"]);
            let least = self.count("minProperties").unwrap_or(0);
            let more = (0..least).map(|index| (format!("a{index}"), each.sample()));
            return self.needed().into_iter().chain(more).collect();
        }
        if self.is_of("boolean") {
            return json!(true);
        }
        if self.is_of("null") { json!(null) } else { json!({ "a": 1 }) }
    }

    /// Whether values of this kind may be its own.
    fn takes_kind(&self, value: &Value) -> bool {
        match value {
            Value::Null => self.is_of("null"),
            Value::Bool(_) => self.is_of("boolean"),
            Value::Number(number) => {
                self.is_of("number") || self.is_of("integer") && number.is_u64()
            }
            Value::String(_) => self.is_of("string"),
            Value::Array(_) => self.is_of("array"),
            Value::Object(_) => self.is_of("object"),
        }
    }

    /// Values at its bounds, and values that are none of its own.
    fn values(&self) -> (Vec<Value>, Vec<Value>) {
        if !self.choices().is_empty() {
            let (mut good, mut bad) = (Vec::new(), Vec::new());
            for choice in self.choices() {
                let (of_choice, not_of_choice) = choice.values();
                good.extend(of_choice);
                // What is of another kind may be of another choice.
                let is_others = |value: &Value| {
                    !choice.takes_kind(value)
                        && self.choices().iter().any(|other| other.takes_kind(value))
                };
                bad.extend(not_of_choice.into_iter().filter(|value| !is_others(value)));
            }
            bad.retain(|value| !good.contains(value));
            return (good, bad);
        }
        if self.0["type"].is_null() {
            return (kinds().into(), Vec::new());
        }
        let mut bad: Vec<Value> =
            kinds().into_iter().filter(|value| !self.takes_kind(value)).collect();
        let mut good = vec![self.sample()];
        if self.is_of("null") {
            good.push(json!(null));
        }
        if let Some(words) = self.0["enum"].as_array() {
            bad.extend(kinds());
            bad.retain(|value| !words.contains(value));
            return (words.clone(), bad);
        }
        if self.is_of("string") {
            self.texts(&mut good, &mut bad);
        }
        if self.is_of("integer") {
            self.numbers(&mut good, &mut bad);
        }
        if self.is_of("array") {
            self.lists(&mut good, &mut bad);
        }
        if self.is_of("object") {
            self.objects(&mut good, &mut bad);
        }
        (good, bad)
    }

    fn texts(&self, good: &mut Vec<Value>, bad: &mut Vec<Value>) {
        let pattern = self.text("pattern");
        if let Some(max) = self.bytes_max("utf8-") {
            assert_eq!(self.count("maxLength"), Some(max));
            let wide = "é".repeat(max / 2);
            good.extend([json!("a".repeat(max)), json!(wide)]);
            bad.extend([json!("a".repeat(max + 1)), json!(format!("{wide}aa"))]);
            let has_none = if self.count("minLength") == Some(1) { &mut *bad } else { &mut *good };
            has_none.push(json!(""));
            let controls = ["a\n", "\0", "\u{1f}a", "\u{7f}", "\u{9f}"];
            let has_control = if pattern.is_empty() || pattern.starts_with("^(?!") {
                &mut *good
            } else {
                &mut *bad
            };
            has_control.extend(controls.map(|text| json!(text)));
            good.extend(["\u{a0}", "日本", "\u{1f600}"].map(|text| json!(text)));
        }
        if pattern.starts_with("^[^") {
            let separators = [",", "#"].map(|text| json!(text));
            (if pattern.contains(",#") { &mut *bad } else { &mut *good }).extend(separators);
            let special = ["?", "[", "]", "{", "}", "\\"];
            let is_refused = pattern.contains(r"\[");
            (if is_refused { bad } else { good }).extend(special.map(|text| json!(text)));
        } else if pattern.contains("==") {
            good.extend(["", "AA==", "AAA=", "AAAA", "AAAAAA=="].map(|text| json!(text)));
            bad.extend(["!", "A", "AA", "AA=", "AB==", "AAB=", "AAAA\n"].map(|text| json!(text)));
            if let Some(max) = self.bytes_max("base64-") {
                good.push(json!(BASE64_STANDARD.encode(vec![0; max])));
                bad.push(json!(BASE64_STANDARD.encode(vec![0; max + 1])));
            }
        } else if pattern.contains("{8}") {
            good.push(json!(CLIENT.to_uppercase()));
            bad.extend([json!("a"), json!(format!("{CLIENT}0")), json!(CLIENT.replace('-', "0"))]);
        } else if pattern.contains("{0,96}") {
            let long = "a".repeat(96);
            good.extend([json!("a=2Fb~x.y_z~go"), json!(format!("{long}~{long}~ios"))]);
            bad.extend([json!(format!("{long}a~~go")), json!(format!("~~{}", "a".repeat(17)))]);
            bad.extend(
                ["", "~", "a~b", "a~b~", "a~b~C", "~~go~", "a-b~~go"].map(|text| json!(text)),
            );
        } else if let Some(digits) =
            [80, 20].into_iter().find(|n| pattern.contains(&format!("{{{n}}}")))
        {
            bad.extend([digits - 1, digits + 1].map(|count| json!("a".repeat(count))));
            bad.extend(["A", "g"].map(|letter| json!(letter.repeat(digits))));
        } else if pattern.starts_with("^[!") {
            let max = self.count("maxLength").expect("it has one");
            good.extend([json!("!~"), json!("a".repeat(max))]);
            bad.extend([json!("a".repeat(max + 1)), json!("é")]);
            bad.extend(["", " ", "a b", "a\n", "\u{7f}"].map(|text| json!(text)));
        } else if pattern.starts_with("^00-") {
            let zeros = |count: usize| "0".repeat(count);
            bad.extend([
                json!(TRACEPARENT.to_uppercase()),
                json!(format!("{TRACEPARENT}0")),
                json!(TRACEPARENT.replacen("00", "01", 1)),
                json!(TRACEPARENT.replace("0af7651916cd43dd8448eb211c80319c", &zeros(32))),
                json!(TRACEPARENT.replace("b7ad6b7169203331", &zeros(16))),
            ]);
        }
    }

    fn numbers(&self, good: &mut Vec<Value>, bad: &mut Vec<Value>) {
        let (min, max) = (self.0["minimum"].as_i64(), self.0["maximum"].as_u64());
        let (min, max) = (min.expect("it has one"), max.expect("it has one"));
        good.extend([json!(min), json!(max)]);
        let beyond = max.checked_add(1).map_or(json!(max as f64), |beyond| json!(beyond));
        bad.extend([json!(min - 1), beyond]);
    }

    fn lists(&self, good: &mut Vec<Value>, bad: &mut Vec<Value>) {
        let items = Rule(&self.0["items"]);
        let is_once = self.0["uniqueItems"] == true;
        let nth = |index: usize| match items.sample() {
            Value::String(text) if is_once => json!(format!("{text}{index}")),
            item => item,
        };
        let of = |count: usize| Value::from((0..count).map(nth).collect::<Vec<Value>>());
        let Some(max) = self.count("maxItems") else { return };
        let min = self.count("minItems").unwrap_or(0);
        good.extend([of(min), of(max)]);
        bad.push(of(max + 1));
        bad.extend(min.checked_sub(1).map(of));
        if is_once {
            bad.push(json!([items.sample(), items.sample()]));
        }
        let (good_items, bad_items) = items.values();
        good.extend(good_items.into_iter().map(|item| json!([item])));
        bad.extend(bad_items.into_iter().map(|item| json!([item])));
    }

    fn objects(&self, good: &mut Vec<Value>, bad: &mut Vec<Value>) {
        for (name, rule) in self.properties() {
            let (good_values, bad_values) = rule.values();
            let with = |value: Value| {
                let mut object = self.needed();
                object.insert(name.clone(), value);
                Value::from(object)
            };
            good.extend(good_values.into_iter().map(with));
            bad.extend(bad_values.into_iter().map(with));
        }
        for name in self.required() {
            let mut object = self.needed();
            object.remove(name);
            bad.push(object.into());
        }
        let Some(max) = self.count("maxProperties") else { return };
        let each = Rule(&self.0["additionalProperties"]);
        let of = |count: usize| -> Value {
            (0..count).map(|index| (format!("a{index}"), each.sample())).collect()
        };
        good.push(of(max));
        bad.push(of(max + 1));
        bad.extend(self.count("minProperties").and_then(|min| min.checked_sub(1)).map(of));
        let (good_values, bad_values) = each.values();
        good.extend(good_values.into_iter().map(|value| json!({ "a": value })));
        bad.extend(bad_values.into_iter().map(|value| json!({ "a": value })));
        let names = &self.0["propertyNames"];
        if names.is_object() {
            let (good_names, bad_names) = Rule(names).values();
            let named = |name: &Value| name.as_str().map(|name| json!({ name: each.sample() }));
            good.extend(good_names.iter().filter_map(named));
            bad.extend(bad_names.iter().filter_map(named));
            let made = Rule(names).text("pattern").trim_start_matches("^(?!(?:");
            let made = made.trim_end_matches(")$)");
            assert!(5 < made.split('|').count());
            bad.extend(made.split('|').map(|name| json!({ name: each.sample() })));
        }
    }
}

const CLIENT: &str = "f0f1f2f3-f4f5-46f7-88f9-fafbfcfdfeff";

const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// What has a reader and a schema.
#[derive(Clone, Copy, Debug)]
enum Asked {
    /// A method.
    Call(ApiMethod),
    /// A page of the presence feed's state.
    State,
}

impl Asked {
    fn all() -> impl Iterator<Item = Asked> {
        ApiMethod::ALL.into_iter().map(Asked::Call).chain([Asked::State])
    }

    fn schema(self) -> Schema {
        match self {
            Asked::Call(method) => request_schema(method),
            Asked::State => state_request_schema(),
        }
    }

    /// What was read, in words.
    fn parse(self, body: &[u8]) -> Result<String, ApiRequestError> {
        match self {
            Asked::Call(method) => parse_call(method, body).map(|call| format!("{call:?}")),
            Asked::State => parse_state_call(body).map(|call| format!("{call:?}")),
        }
    }
}

/// The schema of a call: its fields, and of some of them what else has to hold.
struct CallRules {
    what: Asked,
    fields: Value,
    choices: Vec<Value>,
}

impl CallRules {
    fn of(what: Asked) -> CallRules {
        let schema = json!(what.schema());
        match schema["allOf"].as_array() {
            None => CallRules { what, fields: schema, choices: Vec::new() },
            Some(parts) => CallRules {
                what,
                fields: parts[0].clone(),
                choices: parts[1]["anyOf"].as_array().expect("one of these").clone(),
            },
        }
    }

    fn fields(&self) -> Rule<'_> {
        Rule(&self.fields)
    }

    /// Fields of which some have to be there.
    fn chosen(&self) -> Vec<&str> {
        let choices = self.choices.iter().map(Rule);
        choices.flat_map(|choice| choice.properties()).map(|(name, _)| name.as_str()).collect()
    }

    /// The least that can be asked, by one of the choices.
    fn least(&self, choice: usize) -> Map<String, Value> {
        let mut body = Map::new();
        for (name, rule) in self.fields().properties() {
            if self.fields().required().contains(&name.as_str()) {
                body.insert(name.clone(), rule.sample());
            }
        }
        if let Some(choice) = self.choices.get(choice).map(Rule) {
            for name in choice.required() {
                let own = choice.properties().find(|(own, _)| *own == name);
                let all = self.fields().properties().find(|(own, _)| *own == name);
                let rule = own.filter(|(_, rule)| rule.0["enum"].is_array()).or(all);
                body.insert(name.to_owned(), rule.expect("it has a schema").1.sample());
            }
        }
        body
    }

    fn is_taken(&self, body: &Map<String, Value>) -> bool {
        let body = Value::from(body.clone()).to_string();
        match self.what.parse(body.as_bytes()) {
            Ok(_) => true,
            Err(ApiRequestError::Field(_)) => false,
            Err(error) => panic!("{error:?}: {body}"),
        }
    }

    /// Whether a value of a field is taken in some call.
    fn takes(&self, name: &str, value: &Value) -> bool {
        let chosen = self.chosen();
        let mut bodies = vec![self.least(0)];
        if chosen.contains(&name) {
            let mut others = self.least(0);
            for (name, rule) in self.fields().properties() {
                match chosen.contains(&name.as_str()) {
                    true => others.insert(name.clone(), rule.sample()),
                    false => None,
                };
            }
            let mut alone = self.least(0);
            alone.retain(|name, _| !chosen.contains(&name.as_str()));
            bodies.extend([others, alone]);
        }
        bodies.into_iter().any(|mut body| {
            body.insert(name.to_owned(), value.clone());
            self.is_taken(&body)
        })
    }
}

#[test]
fn what_a_schema_takes_is_taken_and_nothing_else() {
    let mut checked_count = 0;
    for what in Asked::all() {
        let rules = CallRules::of(what);
        for choice in 0..rules.choices.len().max(1) {
            let least = rules.least(choice);
            assert!(rules.is_taken(&least), "{what:?} {least:?}");
        }
        for (name, rule) in rules.fields().properties() {
            let (good, bad) = rule.values();
            checked_count += good.len() + bad.len();
            for value in good {
                assert!(rules.takes(name, &value), "{what:?} {name} {value}");
            }
            for value in bad {
                assert!(!rules.takes(name, &value), "{what:?} {name} {value}");
            }
        }
    }
    assert!(1_000 < checked_count, "{checked_count}");
}

#[test]
fn what_has_to_be_there_is_missed_by_its_name() {
    for what in Asked::all() {
        let rules = CallRules::of(what);
        for needed in rules.fields().required() {
            let mut body = rules.least(0);
            body.remove(needed);
            let body = Value::from(body).to_string();
            let Err(ApiRequestError::Field(field)) = what.parse(body.as_bytes()) else {
                panic!("{what:?} without {needed}")
            };
            assert_eq!(field.name(), needed);
        }
        // Of a choice some of it has to be there, unless one asks for nothing.
        let mut without = rules.least(0);
        without.retain(|name, _| !rules.chosen().contains(&name.as_str()));
        let asks = !rules.choices.is_empty()
            && rules.choices.iter().all(|choice| !Rule(choice).required().is_empty());
        assert_eq!(rules.is_taken(&without), !asks, "{what:?}");
    }
}

#[test]
fn a_field_without_a_schema_is_not_read() {
    for what in Asked::all() {
        let rules = CallRules::of(what);
        let parsed = |body: &Map<String, Value>| {
            let body = Value::from(body.clone()).to_string();
            format!("{:?}", what.parse(body.as_bytes()))
        };
        let want = parsed(&rules.least(0));
        for field in ApiField::ALL {
            if rules.fields().properties().any(|(name, _)| name == field.name()) {
                continue;
            }
            for value in kinds() {
                let mut body = rules.least(0);
                body.insert(field.name().to_owned(), value);
                assert_eq!(parsed(&body), want, "{what:?} {body:?}");
            }
        }
    }
}

#[test]
fn data_is_as_deep_as_the_schema_says() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    let publish = |data: String| format!(r#"{{"channel":"room:1","data":{data}}}"#);
    let schema = json!(request_schema(ApiMethod::Publish)).to_string();
    assert!(schema.contains(&format!("up to {DATA_LEVELS_MAX} levels")));
    let parse = |levels| parse_call(ApiMethod::Publish, publish(nested(levels)).as_bytes()).is_ok();
    assert!(parse(DATA_LEVELS_MAX) && !parse(DATA_LEVELS_MAX + 1));
}

#[test]
fn a_schema_that_is_named_exists() {
    let named = named_schemas();
    let mut text = json!(named.iter().map(|(_, schema)| schema).collect::<Vec<_>>()).to_string();
    for method in ApiMethod::ALL {
        text += &json!(answer_schema(method)).to_string();
    }
    text += &json!(state_answer_schema()).to_string();
    let mut found_count = 0;
    for rest in text.split("#/components/schemas/").skip(1) {
        let name = rest.split('"').next().unwrap_or_default();
        assert!(named.iter().any(|(known, _)| known == name), "{name}");
        found_count += 1;
    }
    assert!(ApiMethod::ALL.len() < found_count);
}
