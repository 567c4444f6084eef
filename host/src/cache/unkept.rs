//! Why an answer is not kept.

/// Why an answer is not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unkept {
    /// `no-store`, of the answer or of the request.
    NoStore,
    /// `private`.
    Private,
    /// Its request had credentials, and nothing says that others may have the answer (section 3.5).
    Credentials,
    /// It sets a cookie and does not say `public`.
    SetCookie,
    /// Its request had a cookie, and only the route says how long it lives.
    Cookie,
    /// `Vary` names all, too much, or what the gateway sets.
    Varies,
    /// Its status: a part of content, an answer to a condition, or one that demands to be understood and is not.
    Status,
    /// It is an endless stream of events.
    Stream,
    /// Nothing says how long it lives, and nothing could validate it.
    Lifetime,
    /// It has more tags than are kept, or longer ones.
    Tags,
}

impl Unkept {
    /// The reason in one word, for `Cache-Status`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NoStore => "no-store",
            Self::Private => "private",
            Self::Credentials => "credentials",
            Self::SetCookie => "set-cookie",
            Self::Cookie => "cookie",
            Self::Varies => "vary",
            Self::Status => "status",
            Self::Stream => "stream",
            Self::Lifetime => "no-lifetime",
            Self::Tags => "tags",
        }
    }
}
