//! The reading of a message (RFC 1035, section 4.1; RFC 6891 for EDNS).
//!
//! By hand, since a question of a type that this code does not know must be answered like any other, and since the
//! counts of a stranger's message must reserve nothing.

/// The bytes before the question.
pub(super) const HEADER: usize = 12;
/// The longest name, in bytes with the lengths of its labels, and the longest label.
const LONGEST: (usize, usize) = (255, 63);
/// The type of the record of EDNS.
pub(super) const OPT: u16 = 41;

/// What a reply repeats of the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AskedHeader {
    pub(super) id: [u8; 2],
    /// 4 bits.
    pub(super) opcode: u8,
    pub(super) wants_recursion: bool,
}

/// What the client says by EDNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct AskedEdns {
    /// The largest datagram that it takes.
    pub(super) size: u16,
    pub(super) version: u8,
}

/// A question.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct AskedQuestion<'a> {
    pub(super) header: AskedHeader,
    /// Name, type and class, as they stand behind the header.
    pub(super) bytes: &'a [u8],
    /// The labels of the name, each with its place in `bytes`: that of its length.
    pub(super) labels: Vec<(usize, &'a [u8])>,
    pub(super) kind: u16,
    pub(super) class: u16,
    pub(super) edns: Option<AskedEdns>,
}

/// A message that is no question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoQuestion {
    /// Nobody waits for a reply to it: it is too short, or a reply itself.
    Silence,
    /// It wants something else.
    OtherWish(AskedHeader),
    /// Its bytes are wrong.
    Malformed(AskedHeader),
}

/// A part of a message that is read from its begin.
struct MessageReader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> AskedQuestion<'a> {
    /// The question of a message.
    ///
    /// # Errors
    /// [`NoQuestion`]
    pub(super) fn read(message: &'a [u8]) -> Result<Self, NoQuestion> {
        let Some((&[id_high, id_low, flags, _, ref counts @ ..], rest)) = message.split_first_chunk::<HEADER>() else {
            return Err(NoQuestion::Silence);
        };
        if flags & 0x80 != 0 {
            return Err(NoQuestion::Silence);
        }
        let opcode = (flags >> 3) & 0x0f;
        let header = AskedHeader { id: [id_high, id_low], opcode, wants_recursion: flags & 1 != 0 };
        if opcode != 0 {
            return Err(NoQuestion::OtherWish(header));
        }
        let counts = [0, 2, 4, 6].map(|at| u16::from_be_bytes([counts[at], counts[at + 1]]));
        Self::read_body(header, counts, rest).ok_or(NoQuestion::Malformed(header))
    }

    fn read_body(header: AskedHeader, [questions, before @ .., additional]: [u16; 4], rest: &'a [u8]) -> Option<Self> {
        let mut reader = MessageReader { bytes: rest, at: 0 };
        if questions != 1 {
            return None;
        }
        let labels = reader.labels()?;
        let (kind, class) = (reader.number()?, reader.number()?);
        let bytes = &rest[..reader.at];
        // A transfer asks with a record of its own (RFC 1995); others are read over.
        for _ in 0..before.iter().map(|count| u32::from(*count)).sum::<u32>() {
            let (kind, ..) = reader.record()?;
            (kind != OPT).then_some(())?;
        }
        let mut edns = None;
        for _ in 0..additional {
            let (kind, is_root, size, version) = reader.record()?;
            if kind == OPT {
                // RFC 6891, section 6.1.1: one, of the root.
                (is_root && edns.is_none()).then_some(())?;
                edns = Some(AskedEdns { size, version });
            }
        }
        reader.bytes[reader.at..].is_empty().then_some(Self { header, bytes, labels, kind, class, edns })
    }

    /// Where the name ends in `bytes`, behind its last zero.
    pub(super) fn name_end(&self) -> usize {
        self.bytes.len() - 4
    }
}

impl<'a> MessageReader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..)?.get(..count)?;
        self.at += count;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        Some(self.take(1)?[0])
    }

    fn number(&mut self) -> Option<u16> {
        Some(u16::from_be_bytes(self.take(2)?.try_into().ok()?))
    }

    /// A name that is written whole: before the first one there is none to which it could point.
    fn labels(&mut self) -> Option<Vec<(usize, &'a [u8])>> {
        let (longest_name, longest_label) = LONGEST;
        let (begin, mut labels) = (self.at, Vec::new());
        loop {
            let at = self.at;
            let length = usize::from(self.byte()?);
            if length == 0 {
                break;
            }
            labels.push((at, (length <= longest_label).then(|| self.take(length))??));
        }
        (self.at - begin <= longest_name).then_some(labels)
    }

    /// Reads over a record: its type, whether its name is the root, and what EDNS has in class and TTL.
    fn record(&mut self) -> Option<(u16, bool, u16, u8)> {
        let begin = self.at;
        loop {
            match self.byte()? {
                0 => break,
                length @ 1..=63 => _ = self.take(usize::from(length))?,
                // A pointer ends the name. Where it leads matters to nobody here.
                0xc0..=0xff => {
                    self.byte()?;
                    break;
                }
                64..=0xbf => return None,
            }
        }
        let is_root = self.at - begin == 1;
        let (kind, class, ttl) = (self.number()?, self.number()?, self.take(4)?);
        let length = self.number()?;
        self.take(usize::from(length))?;
        Some((kind, is_root, class, ttl[1]))
    }
}
