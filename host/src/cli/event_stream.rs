//! A stream of events (SSE), read piece by piece.

/// One event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct StreamEvent {
    /// The id by which a reader that comes back says where it stopped.
    pub(super) id: Option<String>,
    /// Its type.
    pub(super) kind: String,
    /// Its data.
    pub(super) data: String,
}

/// The longest line that is read, in bytes; a longer one ends the stream.
const LONGEST: usize = 4 << 20;

/// Puts the pieces of a stream together (WHATWG HTML, section 9.2.6).
#[derive(Debug, Default)]
pub(super) struct EventParser {
    rest: Vec<u8>,
    event: StreamEvent,
}

impl EventParser {
    /// Adds a piece of the stream. Returns the events that it ends; `None` if the stream is none.
    pub(super) fn push(&mut self, piece: &[u8]) -> Option<Vec<StreamEvent>> {
        self.rest.extend_from_slice(piece);
        let mut events = Vec::new();
        let mut done = 0;
        while let Some(length) = self.rest[done..].iter().position(|byte| *byte == b'\n') {
            let line = self.rest[done..done + length].strip_suffix(b"\r").unwrap_or(&self.rest[done..done + length]);
            let line = String::from_utf8_lossy(line).into_owned();
            done += length + 1;
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                if !event.data.is_empty() {
                    events.push(event);
                }
            } else {
                self.field(&line);
            }
        }
        self.rest.drain(..done);
        (self.rest.len() <= LONGEST).then_some(events)
    }

    fn field(&mut self, line: &str) {
        // A comment begins with a colon: it has a field without a name.
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match name {
            "id" => self.event.id = Some(value.to_owned()),
            "event" => value.clone_into(&mut self.event.kind),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_read_whatever_the_pieces_and_comments_are_none() {
        let text = ": quiet\n\nid: 7\nevent: line\ndata: {\"a\":1}\n\ndata: x\r\ndata: y\r\n\r\nevent: empty\n\n";
        let whole = EventParser::default().push(text.as_bytes()).unwrap();
        let first = StreamEvent { id: Some("7".into()), kind: "line".into(), data: "{\"a\":1}".into() };
        let second = StreamEvent { data: "x\ny".into(), ..StreamEvent::default() };
        assert_eq!(whole, [first, second]);
        let mut parser = EventParser::default();
        let pieces: Vec<_> = text.bytes().flat_map(|byte| parser.push(&[byte]).unwrap()).collect();
        assert_eq!(pieces, whole);
        assert_eq!(EventParser::default().push(&vec![b'x'; LONGEST + 1]), None);
    }
}
