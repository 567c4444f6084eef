//! What an error of the server means.

use crate::state::error::StateError;

/// Errors after which waiting would not help: somebody has to change the manifest or the server.
const LASTING: [&str; 8] =
    ["NOAUTH", "WRONGPASS", "NOPERM", "MOVED", "ASK", "CLUSTERDOWN", "CROSSSLOT", "ERR DB index is out of range"];

/// An error that the server has answered. Nothing was applied, unless it is
/// [of a running script](is_of_running_script).
pub(super) fn refused(place: &str, text: &str) -> StateError {
    // Beyond this the server repeats what it was sent, values too.
    let problem = text.split(", with args").next().unwrap_or_default().to_owned();
    let place = place.to_owned();
    let says = |word: &str| text.strip_prefix(word).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
    // Of rights that a script lacks, 7.0 and later ones say so in other words.
    let lacks = ["invalid username-password", "The user executing the script", "ACL failure in script"];
    if LASTING.iter().any(|word| says(word)) || lacks.iter().any(|words| text.contains(words)) {
        return StateError::Unfit { place, problem };
    }
    let cause = match text.split(' ').next() {
        // Somebody else has put something in the place of a key of ours.
        Some("WRONGTYPE") => return StateError::Damaged { place, problem, bucket: None, key: None },
        Some("OOM") => "full",
        Some("READONLY" | "NOREPLICAS") => "read-only",
        Some("MISCONF") => "io",
        _ => "away",
    };
    StateError::Unavailable { place, problem, cause }
}

/// Whether a script was under way: its errors say where in it they were. All others are of before its beginning.
pub(super) fn is_of_running_script(text: &str) -> bool {
    text.contains("@user_script") || text.contains("SCRIPT KILL")
}

/// Whether the session may go on after an error: the server is the same one, and lacks only room.
pub(super) fn leaves_the_session(text: &str) -> bool {
    ["OOM ", "MISCONF ", "NOREPLICAS "].iter().any(|word| text.starts_with(word))
}

/// The connection has ended, or there was none to be had.
pub(super) fn away(place: &str, problem: impl ToString) -> StateError {
    StateError::Unavailable { place: place.into(), problem: problem.to_string(), cause: "away" }
}

/// No answer in time.
pub(super) fn silent(place: &str, seconds: u64) -> StateError {
    away(place, format!("no answer within {seconds} s"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_a_running_script_is_known_from_one_before_its_beginning() {
        let during = "WRONGTYPE Operation against a key script: 5f1c, on @user_script:80.";
        assert!(is_of_running_script(during) && !leaves_the_session(during));
        let before = "OOM allow-oom flag is not set on the script, can not run it when used memory > 'maxmemory'";
        assert!(!is_of_running_script(before) && leaves_the_session(before));
        assert!(!leaves_the_session("READONLY You can't write against a read only replica."));
    }

    #[test]
    fn an_error_is_lasting_or_has_its_cause_and_shows_no_argument() {
        let unfit = |text| matches!(refused("redis://db:6379/0", text), StateError::Unfit { .. });
        assert!(unfit("NOAUTH Authentication required.") && unfit("MOVED 3999 127.0.0.1:6381"));
        assert!(unfit("ERR ACL failure in script: No permissions to access a key"));
        assert!(!unfit("ASKEW") && !unfit("LOADING Redis is loading the dataset in memory"));
        for (text, wanted) in [("OOM command not allowed", "full"), ("READONLY You can't", "read-only")] {
            let StateError::Unavailable { cause, .. } = refused("", text) else { panic!("{text}") };
            assert_eq!(cause, wanted);
        }
        assert!(refused("redis://db:6379/0", "OOM x").to_string().contains("takes no writes: OOM x"));
        assert!(refused("redis://db:6379/0", "LOADING x").to_string().contains("is away: LOADING x"));
        assert!(matches!(refused("", "WRONGTYPE x"), StateError::Damaged { .. }));
        let text = refused("", "ERR unknown command 'EVALSHA', with args beginning with: 's3cret'").to_string();
        assert!(text.contains("EVALSHA") && !text.contains("s3cret"), "{text}");
    }
}
