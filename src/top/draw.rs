//! A screen as cells of a buffer, and as lines of plain text.
//!
//! Invariants: what stands out does so without colours, too (marks, and reversed cells); a
//! picture that is old is dim; nothing is drawn beyond the area.

use ratatui::buffer::Buffer;
use ratatui::layout::{Constraint, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{HighlightSpacing, Row, StatefulWidget, Table, TableState};

use super::findings::Urgency;
use super::numbers::age;
use super::screen::{Freshness, Screen};
use super::view::{COLUMNS, CoreRow, HeatCell, HeatRow, Topic, View};

/// Below this there is no picture.
const WIDTH_MIN: u16 = 60;
const HEIGHT_MIN: u16 = 15;

/// Of a picture that is printed: wide enough for most facts, and lines can still be followed.
const TEXT_WIDTH: u16 = 140;

/// Where facts begin.
const FACTS_AT: u16 = 16;

/// Columns of a mark with the space behind it.
const MARK_WIDTH: usize = 3;

/// Lines of what is over its threshold, where there is room.
const OVER_LINES_MAX: usize = 5;

/// Rows of the table that are left where the map of heat is shown, with the table's head.
const TABLE_LINES_MIN: u16 = 4;

/// Lines that topics leave: the table's head, two cores, and what keys mean.
const TABLE_LINES_KEPT: u16 = 4;

/// From cold to hot.
const HEAT: [&str; 8] = ["▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];

const HELP: [&str; 11] = [
    "q, Ctrl-C     quit",
    "↑ ↓, k j      the next core; PgUp, PgDn: ten further",
    "s             sort cores: number, connections, busy,",
    "              lateness, memory",
    "p             pause: the server is not asked",
    "?             this help, and back",
    "",
    "!, !!         a warning, critical: over the threshold of",
    "              an alert; its runbook says what to do",
    "lag, late     how late timers were; the share of the time",
    "memory, –     what waits to be sent; what is not known",
];

/// Draws all of it.
pub fn draw(screen: &Screen, now_ms: u64, area: Rect, buffer: &mut Buffer) {
    if area.width < WIDTH_MIN || area.height < HEIGHT_MIN {
        let words = format!("rookery top needs {WIDTH_MIN} columns and {HEIGHT_MIN} lines");
        buffer.set_line(area.x, area.y, &Line::from(words), area.width);
        return;
    }
    let mut rest = area;
    let freshness = screen.freshness(now_ms);
    put(title(screen, area.width), &mut rest, buffer);
    let Some(view) = screen.view() else {
        put(status(&freshness, screen), &mut rest, buffer);
        return footer(screen, rest, buffer);
    };
    let room = usize::from(area.height - HEIGHT_MIN) + 1;
    for line in alarms(view, &freshness, screen, room.min(OVER_LINES_MAX)) {
        put(line, &mut rest, buffer);
    }
    let body = rest;
    if screen.shows_help() {
        HELP.iter().for_each(|line| put(Line::from(format!("  {line}")), &mut rest, buffer));
        return footer(screen, body, buffer);
    }
    let room = usize::from(rest.height.saturating_sub(TABLE_LINES_KEPT));
    for topic in view.topics.iter().take(room) {
        put(facts(topic, area.width), &mut rest, buffer);
    }
    let heat = heat(&view.heat, area.width);
    if heat.len() as u16 + TABLE_LINES_MIN < rest.height {
        heat.into_iter().for_each(|line| put(line, &mut rest, buffer));
    }
    footer(screen, body, buffer);
    let rows = screen.rows();
    let chosen = screen.place(&rows);
    let mut table = Rect { height: rest.height.saturating_sub(1), ..rest };
    if let Some(row) = chosen.map(|place| rows[place]) {
        table.height = table.height.saturating_sub(1);
        let words = cut(&format!("core {}: {}", row.core, row.detail), area.width);
        buffer.set_line(table.x, table.bottom(), &Line::from(words), table.width);
    }
    cores(&rows, chosen, table, buffer);
    if matches!(freshness, Freshness::Silent(..)) {
        buffer.set_style(body, Style::new().add_modifier(Modifier::DIM));
    }
}

/// Leaves a picture with its marks alone, for those who want no colours.
pub fn without_colours(buffer: &mut Buffer) {
    for cell in &mut buffer.content {
        (cell.fg, cell.bg) = (Color::Reset, Color::Reset);
    }
}

/// All of a server as lines of text, for those who have no screen.
pub fn text(screen: &Screen, now_ms: u64) -> String {
    let lines = screen
        .view()
        .map_or(0, |view| view.cores.len() + view.over.len() + view.topics.len() + view.heat.len());
    let height = u16::try_from(lines + 4).unwrap_or(u16::MAX);
    let area = Rect::new(0, 0, TEXT_WIDTH, height);
    let mut buffer = Buffer::empty(area);
    let mut rest = area;
    put(title(screen, area.width), &mut rest, &mut buffer);
    if let Some(view) = screen.view() {
        let all = alarms(view, &screen.freshness(now_ms), screen, view.over.len() + 1);
        all.into_iter().for_each(|line| put(line, &mut rest, &mut buffer));
        view.topics.iter().for_each(|topic| put(facts(topic, area.width), &mut rest, &mut buffer));
        heat(&view.heat, area.width).into_iter().for_each(|line| put(line, &mut rest, &mut buffer));
        cores(&screen.rows(), None, rest, &mut buffer);
    }
    let lines: Vec<String> = (0..height).map(|y| line_of(&buffer, y)).collect();
    lines.join("\n").trim_end().to_owned() + "\n"
}

/// A line of a buffer, without spaces at its end.
fn line_of(buffer: &Buffer, y: u16) -> String {
    let mut line = String::new();
    let mut x = 0;
    while x < buffer.area.width {
        let symbol = buffer[(x, y)].symbol();
        line.push_str(symbol);
        // What is wide lies over the next cell.
        x += width(symbol).max(1);
    }
    line.truncate(line.trim_end().len());
    line
}

fn width(text: &str) -> u16 {
    u16::try_from(Span::raw(text).width()).unwrap_or(u16::MAX)
}

/// The beginning of a text that has room.
fn cut(text: &str, width_max: u16) -> String {
    if width(text) <= width_max {
        return text.to_owned();
    }
    let mut beginning = String::new();
    for letter in text.chars() {
        beginning.push(letter);
        if width_max <= width(&beginning) {
            beginning.pop();
            break;
        }
    }
    beginning + "…"
}

/// What has room of a line, and whether that is all.
fn fitting(mut line: Line<'_>, columns: u16) -> Line<'_> {
    let mut left = line.spans.iter().map(|span| width(&span.content)).sum::<u16>();
    let mut room = columns;
    for index in 0..line.spans.len() {
        let content = &line.spans[index].content;
        let taken = width(content);
        if room < left && room <= taken {
            line.spans[index].content = cut(&format!("{content}…"), room).into();
            line.spans.truncate(index + 1);
            break;
        }
        (left, room) = (left - taken, room - taken);
    }
    line
}

/// A text with the mark of something that is over its threshold.
fn marked(urgency: Urgency, text: &str) -> String {
    format!("{:<MARK_WIDTH$}{text}", urgency.mark())
}

/// Puts a line on top of what is left, and leaves the rest.
fn put(line: Line<'_>, rest: &mut Rect, buffer: &mut Buffer) {
    if 0 < rest.height {
        buffer.set_line(rest.x, rest.y, &fitting(line, rest.width), rest.width);
        *rest = Rect { y: rest.y + 1, height: rest.height - 1, ..*rest };
    }
}

fn style(urgency: Urgency) -> Style {
    match urgency {
        Urgency::None => Style::new(),
        Urgency::Warning => Style::new().fg(Color::Yellow).add_modifier(Modifier::BOLD),
        Urgency::Critical => {
            Style::new().fg(Color::Red).add_modifier(Modifier::BOLD | Modifier::REVERSED)
        }
    }
}

/// Which server, and how it is: an address gives way to the rest.
fn title(screen: &Screen, columns: u16) -> Line<'static> {
    let bold = Style::new().add_modifier(Modifier::BOLD);
    let Some(view) = screen.view() else {
        return Line::styled(cut(&format!("rookery  {}", screen.address()), columns), bold);
    };
    let name = format!("rookery {}", view.version);
    let uptime = format!("up {}", view.uptime);
    let state = format!("{} {}", view.state_urgency.mark(), view.state);
    let state = state.trim_start().to_owned();
    let taken = width(&name) + width(&uptime) + width(&state) + 6;
    let address = cut(screen.address(), columns.saturating_sub(taken));
    Line::from(vec![
        Span::styled(name, bold),
        Span::raw(format!("  {address}  {uptime}  ")),
        Span::styled(state, style(view.state_urgency).add_modifier(Modifier::BOLD)),
    ])
}

/// Whether the picture is as of now, and what is over its threshold: so many lines at most.
fn alarms(
    view: &View,
    freshness: &Freshness,
    screen: &Screen,
    lines_max: usize,
) -> Vec<Line<'static>> {
    let told = match freshness {
        Freshness::Fresh if view.over_s.is_some() && screen.told_note().is_empty() => None,
        Freshness::Fresh
        | Freshness::Asking
        | Freshness::Restarted(_)
        | Freshness::Paused(_)
        | Freshness::Silent(..) => Some(status(freshness, screen)),
    };
    let is_told = told.is_some();
    let mut lines: Vec<Line> = told.into_iter().collect();
    let room = lines_max.saturating_sub(lines.len());
    let shown = if view.over.len() <= room { room } else { room.saturating_sub(1) };
    lines.extend(view.over.iter().take(shown).map(|one| {
        let words = marked(one.urgency, &one.words);
        let alert = Span::raw(format!("  {}", one.alert));
        Line::from(vec![Span::styled(words, style(one.urgency)), alert])
    }));
    match view.over.get(shown..).unwrap_or_default() {
        [] => (),
        hidden if room == 0 => {
            let words = format!("  (and {} over thresholds)", hidden.len());
            lines.iter_mut().for_each(|line| line.push_span(Span::raw(words.clone())));
        }
        hidden => {
            let worst = hidden[0].urgency;
            let (count, words) = (hidden.len(), &hidden[0].words);
            let words = format!("{count} over their thresholds, such as: {words}");
            lines.push(Line::styled(marked(worst, &words), style(worst)));
        }
    }
    if lines.is_empty() && !is_told {
        lines.push(Line::from(marked(Urgency::None, "nothing is over its threshold")));
    }
    lines
}

/// Whether the picture is as of now.
fn status(freshness: &Freshness, screen: &Screen) -> Line<'static> {
    let since = |ms: &u64| age(*ms as f64 / 1e3);
    let (urgency, words) = match freshness {
        Freshness::Silent(ms, why) => {
            (Urgency::Critical, format!("no answer for {}: {why}", since(ms)))
        }
        Freshness::Paused(ms) => {
            (Urgency::Warning, format!("paused for {}: p asks again", since(ms)))
        }
        Freshness::Restarted(ms) => {
            (Urgency::Warning, format!("the server began anew, {} ago", since(ms)))
        }
        Freshness::Asking => (Urgency::None, "the server is asked".to_owned()),
        Freshness::Fresh if screen.told_note().is_empty() => {
            (Urgency::None, "rates come with the next answer".to_owned())
        }
        Freshness::Fresh => (Urgency::None, screen.told_note().to_owned()),
    };
    Line::styled(marked(urgency, &words), style(urgency))
}

/// A topic with as many of its facts as have room.
fn facts(topic: &Topic, columns: u16) -> Line<'static> {
    let name = marked(topic.urgency, topic.name);
    let mut facts = String::new();
    let room = columns - FACTS_AT;
    for (index, fact) in topic.facts.iter().enumerate() {
        let gap = if index == 0 { "" } else { " · " };
        let longer = format!("{facts}{gap}{fact}");
        // What follows needs the room of a mark that something is left out.
        let spare = if index + 1 == topic.facts.len() { 0 } else { 2 };
        if room < width(&longer) + spare {
            facts = cut(&format!("{facts} …"), room);
            break;
        }
        facts = longer;
    }
    let gap = " ".repeat(usize::from(FACTS_AT.saturating_sub(width(&name))));
    Line::from(vec![Span::styled(name, style(topic.urgency)), Span::raw(gap), Span::raw(facts)])
}

/// The map: a line for each number, a cell for each core, or for some of them where there
/// are more cores than columns.
fn heat(rows: &[HeatRow], columns: u16) -> Vec<Line<'static>> {
    let cores = rows.first().map_or(0, |row| row.cells.len());
    if cores == 0 {
        return Vec::new();
    }
    let room = usize::from(columns - FACTS_AT);
    let per_cell = cores.div_ceil(room);
    let cell_columns = (room / cores.div_ceil(per_cell)).clamp(1, 3);
    rows.iter().map(|row| heat_line(row, per_cell, cell_columns)).collect()
}

fn heat_line(row: &HeatRow, per_cell: usize, columns: usize) -> Line<'static> {
    let worst = row.cells.iter().map(|cell| cell.urgency).max().unwrap_or_default();
    let name = marked(worst, row.name);
    let gap = " ".repeat(usize::from(FACTS_AT.saturating_sub(width(&name))));
    let mut spans = vec![Span::styled(name, style(worst)), Span::raw(gap)];
    for cells in row.cells.chunks(per_cell) {
        let hottest = cells.iter().fold(HeatCell::default(), |hottest, cell| HeatCell {
            heat: match (hottest.heat, cell.heat) {
                (Some(one), Some(other)) => Some(one.max(other)),
                (one, other) => one.or(other),
            },
            urgency: hottest.urgency.max(cell.urgency),
        });
        let (symbol, style) = heat_cell(hottest);
        // A gap between cells that have the room for one.
        let filled = columns.saturating_sub(1).max(1);
        spans.push(Span::styled(symbol.repeat(filled), style));
        spans.push(Span::raw(" ".repeat(columns - filled)));
    }
    Line::from(spans)
}

fn heat_cell(cell: HeatCell) -> (&'static str, Style) {
    match (cell.urgency, cell.heat) {
        (urgency @ (Urgency::Warning | Urgency::Critical), _) => ("!", style(urgency)),
        (Urgency::None, None) => ("–", Style::new()),
        (Urgency::None, Some(heat)) if heat <= 0.0 => ("·", Style::new()),
        (Urgency::None, Some(heat)) => {
            let level = ((heat * HEAT.len() as f64) as usize).min(HEAT.len() - 1);
            let color = match level {
                0..3 => Color::Green,
                3..6 => Color::Yellow,
                _ => Color::LightRed,
            };
            (HEAT[level], Style::new().fg(color))
        }
    }
}

/// The table of cores, with as many columns as have room.
fn cores(rows: &[&CoreRow], chosen: Option<usize>, area: Rect, buffer: &mut Buffer) {
    const MARK: u16 = 2;
    let mut taken = MARK + 2;
    let fitting = COLUMNS.iter().take_while(|(_, width)| {
        taken += width + 1;
        taken <= area.width + 1
    });
    let count = fitting.count();
    let right = |text: &str, width: u16| format!("{text:>width$}", width = usize::from(width));
    let head = COLUMNS.iter().take(count).map(|(name, width)| right(name, *width));
    let head = Row::new(std::iter::once("  ".to_owned()).chain(head))
        .style(Style::new().add_modifier(Modifier::UNDERLINED));
    let line = |row: &&CoreRow| {
        let cells = row.cells.iter().zip(COLUMNS).take(count);
        let cells = cells.map(|(cell, (_, width))| right(&cut(cell, width), width));
        Row::new(std::iter::once(row.urgency.mark().to_owned()).chain(cells))
            .style(style(row.urgency))
    };
    let widths = std::iter::once(MARK).chain(COLUMNS.iter().take(count).map(|(_, width)| *width));
    let table = Table::new(rows.iter().map(line), widths.map(Constraint::Length))
        .header(head)
        .column_spacing(1)
        .highlight_symbol(">")
        .highlight_spacing(HighlightSpacing::Always)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::default().with_selected(chosen);
    StatefulWidget::render(table, area, buffer, &mut state);
}

/// The last line of an area: what keys mean.
fn footer(screen: &Screen, area: Rect, buffer: &mut Buffer) {
    let words = format!("q quit  ↑↓ core  s sort: {}  p pause  ? help", screen.order().name());
    let line = Line::styled(words, Style::new().add_modifier(Modifier::REVERSED));
    buffer.set_line(area.x, area.bottom() - 1, &line, area.width);
}
