//! The drawing of the house in `docs/ARCHITECTURE.md`: rooms by floor, their wings, and the imports between wings.
//!
//! It is made from the imports themselves. `just drawing` writes it; the tidy test fails when it is out of date.

use std::fmt::Write as _;

use super::graph::{Tree, reachable};
use super::{Breach, house};

/// The document that has the drawing, between the two markers.
pub const DOCUMENT: &str = "docs/ARCHITECTURE.md";
const BEGIN: &str = "<!-- drawing: made by `just drawing` -->\n";
const END: &str = "<!-- end of drawing -->\n";

/// The drawing as a Mermaid flowchart: the top floor first.
pub fn draw(tree: &Tree, rooms: &[String]) -> String {
    let mut text = String::from("```mermaid\nflowchart TB\n");
    let mut line = |indent: usize, line: &str| {
        writeln!(text, "{:indent$}{line}", "", indent = indent * 2).expect("a string takes all");
    };
    let mut floors: Vec<usize> = Vec::new();
    let mut arrows: Vec<String> = Vec::new();
    for floor in (0..house::FLOORS.len()).rev() {
        let here: Vec<&str> = house::FLOORS[floor].iter().copied().filter(|room| is_there(rooms, room)).collect();
        if here.is_empty() {
            continue;
        }
        floors.push(floor);
        line(1, &format!("subgraph floor{floor}[\"floor {floor}\"]"));
        line(2, "direction LR");
        for room in here {
            if !tree.has_folders(room) {
                line(2, &format!("{room}[\"{room}\"]"));
                continue;
            }
            line(2, &format!("subgraph {room}[\"{room}\"]"));
            line(3, "direction TB");
            for wing in tree.wings(room) {
                let label = if tree.is_folder(room, wing) { format!("{wing}/") } else { wing.to_owned() };
                line(3, &format!("{room}-{wing}[\"{label}\"]"));
            }
            arrows.extend(arrows_of(tree, room));
            line(2, "end");
        }
        line(1, "end");
    }
    for pair in floors.windows(2) {
        line(1, &format!("floor{} ==> floor{}", pair[0], pair[1]));
    }
    for arrow in arrows {
        line(1, &arrow);
    }
    text.push_str("```\n");
    text
}

fn is_there(rooms: &[String], room: &str) -> bool {
    rooms.iter().any(|there| there == room)
}

/// The imports between the wings of a room, but for those that others imply: with A → B → C, A → C is left out.
fn arrows_of(tree: &Tree, room: &str) -> Vec<String> {
    let mut edges = tree.wing_edges(room);
    edges.remove("mod"); // what the room gives to others: it leads everywhere
    let implied = |from: &str, to: &str| {
        let others = edges[from].keys().filter(|other| *other != to);
        others
            .into_iter()
            .any(|other| !reachable(&edges, other).contains(from) && reachable(&edges, other).contains(to))
    };
    let mut arrows = Vec::new();
    for (from, imports) in &edges {
        let direct = imports.keys().filter(|to| *to != "mod" && !implied(from, to));
        arrows.extend(direct.map(|to| format!("{room}-{from} --> {room}-{to}")));
    }
    arrows
}

/// The document with this drawing between its markers, or nothing if it has no markers.
pub fn replace(document: &str, drawing: &str) -> Option<String> {
    let (before, rest) = document.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}\n{drawing}\n{END}{after}"))
}

/// What the document breaks: its drawing is not the one that the imports make.
pub fn breaches(document: &str, drawing: &str) -> Vec<Breach> {
    let breach = |line, rule: &str| vec![Breach { file: DOCUMENT.to_owned(), line, rule: rule.to_owned() }];
    let line = document.lines().position(|line| BEGIN.trim_end() == line).map_or(1, |at| at + 1);
    match replace(document, drawing) {
        None => breach(1, "has no markers for the drawing of the house"),
        Some(wanted) if wanted != document => breach(line, "the drawing is out of date: run `just drawing`"),
        Some(_) => Vec::new(),
    }
}
