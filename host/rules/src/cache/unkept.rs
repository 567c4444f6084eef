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
    /// By state: its call has read a clock, or has waited for a time.
    Clock,
    /// By state: its call has asked for random bytes.
    Random,
    /// By state: its call has asked for the id of its request, which differs each time.
    RequestId,
    /// By state: its call has asked a host outside, or an address that serves a service.
    Outside,
    /// By state: its call has written to a store, or has published.
    Write,
    /// By state: its call could not read its store.
    StateFailure,
    /// By state: its call has listed keys without a prefix, so that any write of the service changes it.
    UnboundedScan,
    /// By state: an instance has served other calls before, and may remember them.
    KeptMemory,
    /// By state: a call of another service has failed, which another one need not.
    FailedCall,
    /// By state: two revisions of a service serve, and a coin has chosen.
    Rollout,
    /// By state: it rests on more keys than are watched for one answer.
    ManyReads,
    /// By state: what its call has read has changed meanwhile. The next answer may well be kept.
    Changed,
    /// It is larger than what is kept, or came too slowly.
    TooLarge,
    /// It is one for the disk, where others are being written, this very one among them, or where no room is.
    DiskBusy,
    /// It is one for the disk, which has failed.
    DiskFailed,
    /// It broke off on its way to the disk, or nobody waited for its end.
    Incomplete,
}

impl Unkept {
    /// The reason in one word, for `Cache-Status` and for a metric.
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
            Self::Clock => "clock",
            Self::Random => "random",
            Self::RequestId => "request-id",
            Self::Outside => "outside",
            Self::Write => "write",
            Self::StateFailure => "state-failure",
            Self::UnboundedScan => "unbounded-scan",
            Self::KeptMemory => "kept-memory",
            Self::FailedCall => "failed-call",
            Self::Rollout => "rollout",
            Self::ManyReads => "many-reads",
            Self::Changed => "changed",
            Self::TooLarge => "too-large",
            Self::DiskBusy => "disk-busy",
            Self::DiskFailed => "disk-failed",
            Self::Incomplete => "incomplete",
        }
    }
}
