//! The people who are mentioned for an alert.

use crate::alert::model::alert::Alert;
use crate::alert::options::{Messenger, Options, Person};

/// Most people that one message mentions.
const PEOPLE_MAX: usize = 10;

const HOUR_MS: i64 = 3_600_000;

/// The people whose label and hours match, in the order of the settings.
pub fn called<'a>(
    alerts: impl Iterator<Item = &'a Alert>,
    options: &'a Options,
    now_ms: u64,
) -> Vec<&'a Person> {
    let alerts: Vec<&Alert> = alerts.collect();
    let hour = hour(now_ms, options.offset_minutes);
    let is_meant = |person: &&Person| {
        is_on_duty(person, hour)
            && alerts.iter().any(|alert| match alert.label(&person.label) {
                "" => false,
                value => person.value == "*" || person.value == value,
            })
    };
    options.people.iter().filter(is_meant).take(PEOPLE_MAX).collect()
}

/// The local hour, also before 1970 and west of Greenwich.
fn hour(unix_ms: u64, offset_minutes: i32) -> u32 {
    let local_ms = (unix_ms as i64).saturating_add(i64::from(offset_minutes) * 60_000);
    (local_ms.div_euclid(HOUR_MS).rem_euclid(24)) as u32
}

fn is_on_duty(person: &Person, hour: u32) -> bool {
    let (from, until) = (person.from_hour, person.until_hour);
    if from < until {
        (from..until).contains(&hour)
    } else {
        from == until || hour >= from || hour < until
    }
}

/// The mentions of a message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mentions {
    /// The mentions in the text; they are made of the settings only.
    pub text: String,
    /// Mobile numbers. WeCom takes them in a text message of their own.
    pub mobiles: Vec<String>,
    /// DingTalk's ids.
    pub ids: Vec<String>,
}

/// The mentions of these people in a messenger.
pub fn mentions(channel: Messenger, people: &[&Person]) -> Mentions {
    let mut mentions = Mentions::default();
    let mut words: Vec<String> = Vec::new();
    for person in people {
        match channel {
            Messenger::Wecom if !person.wecom_id.is_empty() => {
                words.push(format!("<@{}>", person.wecom_id));
            }
            Messenger::Wecom if !person.mobile.is_empty() => {
                mentions.mobiles.push(person.mobile.clone());
            }
            Messenger::Dingtalk if !person.mobile.is_empty() => {
                words.push(format!("@{}", person.mobile));
                mentions.mobiles.push(person.mobile.clone());
            }
            Messenger::Dingtalk if !person.dingtalk_id.is_empty() => {
                words.push(format!("@{}", person.dingtalk_id));
                mentions.ids.push(person.dingtalk_id.clone());
            }
            Messenger::Slack if !person.slack_id.is_empty() => {
                words.push(format!("<@{}>", person.slack_id));
            }
            Messenger::Webhook => mentions.ids.push(person.name.clone()),
            // The settings have no identity of this person there.
            Messenger::Wecom | Messenger::Dingtalk | Messenger::Slack => {}
        }
    }
    mentions.text = words.join(" ");
    mentions
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(name: &str, label: &str, value: &str, from_hour: u32, until_hour: u32) -> Person {
        Person {
            name: name.to_owned(),
            label: label.to_owned(),
            value: value.to_owned(),
            from_hour,
            until_hour,
            ..Person::default()
        }
    }

    #[test]
    fn people_are_called_by_label_and_in_their_hours() {
        #[track_caller]
        fn check(utc_hour: u64, labels: &[(&str, &str)], want: &[&str]) {
            let options = Options {
                offset_minutes: 480,
                people: vec![
                    person("day", "owner", "chat", 9, 21),
                    person("night", "owner", "chat", 21, 9),
                    person("tenant", "tenant_id", "*", 0, 0),
                ],
                ..Options::default()
            };
            let mut alert = Alert::default();
            for (name, value) in labels {
                alert.labels.insert((*name).to_owned(), (*value).to_owned());
            }
            let called = called([&alert].into_iter(), &options, utc_hour * HOUR_MS as u64);
            let names: Vec<&str> = called.iter().map(|person| person.name.as_str()).collect();
            assert_eq!(names, want);
        }
        check(1, &[("owner", "chat")], &["day"]); // 9 o'clock there
        check(0, &[("owner", "chat")], &["night"]);
        check(13, &[("owner", "chat")], &["night"]);
        check(12, &[("owner", "chat"), ("tenant_id", "x")], &["day", "tenant"]);
        check(12, &[("owner", "other")], &[]);
        check(12, &[], &[]);
    }

    #[test]
    fn hours_are_right_on_both_sides_of_greenwich() {
        const AT_2_30: u64 = 1_700_000_000_000 / 86_400_000 * 86_400_000 + 9_000_000;
        for (offset_minutes, want) in
            [(0, 2), (480, 10), (330, 8), (-150, 0), (-180, 23), (-210, 23), (-720, 14), (840, 16)]
        {
            assert_eq!(hour(AT_2_30, offset_minutes), want, "{offset_minutes}");
        }
        assert_eq!(hour(0, -60), 23);
    }

    #[test]
    fn each_channel_has_its_way() {
        let both = Person {
            wecom_id: "anna".to_owned(),
            mobile: "+852-123".to_owned(),
            slack_id: "U1".to_owned(),
            ..person("anna", "owner", "*", 0, 0)
        };
        let mobile = Person { mobile: "138".to_owned(), ..person("ben", "owner", "*", 0, 0) };
        let people = [&both, &mobile];
        #[track_caller]
        fn check(channel: Messenger, people: &[&Person], text: &str, mobiles: &[&str]) {
            let mentions = mentions(channel, people);
            assert_eq!(mentions.text, text);
            assert_eq!(mentions.mobiles, mobiles);
        }
        check(Messenger::Wecom, &people, "<@anna>", &["138"]);
        check(Messenger::Dingtalk, &people, "@+852-123 @138", &["+852-123", "138"]);
        check(Messenger::Slack, &people, "<@U1>", &[]);
        check(Messenger::Webhook, &people, "", &[]);
    }
}
