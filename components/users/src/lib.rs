//! The service `users`: the component behind the contract `shop:users`.
//!
//! The modules:
//! - `users` implements the contract.
//! - `rules` says which names and emails are valid.
//! - `http` is an adapter that calls only the contract.
//!
//! State, as keys of the service's own bucket: `user/ID` holds a user; `email/ADDRESS` (with its case folded) holds
//! the id of the user who has this email. Both change in one commit, so a taken email always belongs to an existing
//! user.

pub mod http;
mod rules;
pub mod users;

atoll_guest::service!(
    users::Users<atoll_guest::Host>,
    path: ["../../wit", "../../wit/state", "../../wit/users"],
    world: "shop:users/service",
    with: {
        "atoll:state/transactions@0.1.0": atoll_guest::transactions,
        "wasi:config/store@0.2.0-rc.1": atoll_guest::config,
        "wasi:clocks/types@0.3.2": atoll_guest::wasip3::clocks::types,
        "wasi:http/types@0.3.2": atoll_guest::wasip3::http::types,
    },
);
