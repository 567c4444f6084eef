//! The coin: which of two revisions a call goes to.

use super::toss::{CoinKey, Toss};

/// How many requests in a row get exactly the share.
const URN: u8 = 100;
/// How many requests are remembered, a power of 2. A request whose place was taken since is drawn anew.
const REMEMBERED: usize = 1024;

/// Draws without putting back: of every `URN` requests exactly `share` go to the canary, in an order that nobody
/// outside can foresee.
///
/// The odds of a call are taken for the share, although they change a little with each ticket that is drawn. That is on
/// the safe side: tickets of one urn are negatively associated (Joag-Dev and Proschan 1983), so the mean of a product
/// of growing functions of them, which the evidence is, is no larger than with independent coins. With the odds of each
/// ticket in place of the share the test would be weaker: a canary that always crashes would need 4 calls and more.
#[derive(Debug, Clone)]
pub struct Coin {
    /// Percent: 0 to 100.
    share: u8,
    /// How many tickets are left in the urn, and how many of them are the canary's.
    left: u8,
    left_of_canary: u8,
    random: u64,
    /// The last requests, by their hashes; 0: none.
    recent: Box<[Remembered; REMEMBERED]>,
}

/// How the coin fell for a request.
#[derive(Debug, Clone, Copy, Default)]
struct Remembered {
    key: u64,
    canary: bool,
    /// The share by which it was drawn, in percent.
    share: u8,
}

impl Coin {
    /// A coin that gives the canary `share` percent: 0 to 100. `seed`: any number that clients do not know.
    pub fn new(share: u8, seed: u64) -> Self {
        let (share, random) = (share.min(URN), seed);
        Self { share, left: 0, left_of_canary: 0, random, recent: Box::new([Remembered::default(); REMEMBERED]) }
    }

    /// The share of the canary, in percent.
    pub fn share(&self) -> u8 {
        self.share
    }

    /// Gives the canary another share from now on. Sticky keys that it had stay with it if the share grows.
    pub fn set_share(&mut self, share: u8) {
        (self.share, self.left, self.left_of_canary) = (share.min(URN), 0, 0);
        // A request that is remembered keeps its answer, with the odds that it had.
    }

    /// Throws the coin for `key`.
    pub fn toss(&mut self, key: CoinKey) -> Toss {
        match key {
            CoinKey::Sticky(key) => {
                // The remainder is a number below 10,000: no share loses more than a hundredth of a percent by it.
                let canary = mixed(key) % 10_000 < u64::from(self.share) * 100;
                Toss { canary, share: f64::from(self.share) / f64::from(URN), key }
            }
            CoinKey::Request(key) => {
                // 0 marks an empty place.
                let key = key.max(1);
                let at = usize::try_from(mixed(key) % REMEMBERED as u64).unwrap_or_default();
                if self.recent[at].key != key {
                    self.recent[at] = self.draw(key);
                }
                let Remembered { canary, share, .. } = self.recent[at];
                Toss { canary, share: f64::from(share) / f64::from(URN), key }
            }
        }
    }

    /// Draws a ticket.
    fn draw(&mut self, key: u64) -> Remembered {
        if self.left == 0 {
            (self.left, self.left_of_canary) = (URN, self.share);
        }
        self.random = self.random.wrapping_add(GOLDEN);
        // The high half times `left`: each ticket is as likely as the others, up to 2⁻³².
        let ticket = ((mixed(self.random) >> 32) * u64::from(self.left)) >> 32;
        let canary = ticket < u64::from(self.left_of_canary);
        self.left -= 1;
        self.left_of_canary -= u8::from(canary);
        Remembered { key, canary, share: self.share }
    }
}

/// The step of SplitMix64 (Steele, Lea, Flood 2014), and its mixer below.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

fn mixed(mut word: u64) -> u64 {
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}
