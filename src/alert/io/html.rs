//! Pages that people see, as HTML.
//!
//! Invariant: texts of users and alerts are escaped.
//!
//! Deliberately absent: what a page is for.

use std::fmt::Write as _;

use crate::alert::message::silence::{MINUTES_MAX, SilenceGrant};

/// The choices on the page, in minutes.
const CHOICES: [u64; 5] = [10, 30, 60, 120, MINUTES_MAX];

/// The page that asks for a confirmation. Only its button silences: chats open links by themselves
/// to show a preview.
pub(super) fn silence_page(grant: &SilenceGrant, payload: &str, signature: &str) -> String {
    let mut rows = String::new();
    for (name, value) in &grant.matchers {
        let _ = write!(rows, "<tr><td>{}</td><td>{}</td></tr>", html(name), html(value));
    }
    let mut choices = String::new();
    for minutes in CHOICES {
        let chosen = if minutes == 60 { " selected" } else { "" };
        let _ = write!(choices, "<option value=\"{minutes}\"{chosen}>{minutes} min</option>");
    }
    whole(&format!(
        "<h1>Silence these alerts? 静默这些告警？</h1><table>{rows}</table>\
         <form method=\"post\"><input type=\"hidden\" name=\"d\" value=\"{}\">\
         <input type=\"hidden\" name=\"s\" value=\"{}\">\
         <p><label>Your name 姓名 <input name=\"who\" maxlength=\"64\" required></label></p>\
         <p><label>For 时长 <select name=\"minutes\">{choices}</select></label></p>\
         <p><button>Silence 静默</button></p></form>",
        html(payload),
        html(signature)
    ))
}

/// A page with one sentence.
pub(super) fn notice(words: &str) -> String {
    whole(&format!("<p>{}</p>", html(words)))
}

pub(super) fn whole(body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width\"><title>rookery alert bridge</title>\
         <style>body{{font:16px sans-serif;max-width:36em;margin:2em auto;padding:0 1em}}\
         td{{border:1px solid #999;padding:.3em;overflow-wrap:anywhere}}\
         input,select,button{{font:inherit;padding:.3em}}</style>{body}</html>"
    )
}

pub(super) fn html(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alert::model::alert::Pairs;

    #[test]
    fn a_page_shows_a_group_as_text() {
        let matchers = Pairs::from([("alertname".to_owned(), "A\"<b>".to_owned())]);
        let page = silence_page(&SilenceGrant { until_s: 1, matchers }, "payload", "signature");
        assert!(page.contains("A&quot;&lt;b&gt;") && !page.contains("<b>"), "{page}");
    }
}
