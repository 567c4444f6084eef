//! The macros that connect a service to its contract.

/// Makes the bindings of the contract as the module `bindings`, and exports `$service` as the component.
///
/// The contract is the world in the folder `wit` beside `Cargo.toml`; with `path`, it is elsewhere, and `world` chooses
/// one of several. All that follows the service is passed on to `wit_bindgen::generate!`. The world names only what
/// the service itself exports and calls: what it uses of the platform through this crate is imported without a word.
///
/// ```ignore
/// atoll_guest::service!(Greeter);
///
/// use bindings::exports::example::greeter::greeter::{Error, Greeting, Guest};
///
/// struct Greeter;
///
/// impl Guest for Greeter {
///     async fn greet(person: String) -> Result<Greeting, Error> {
///         Ok(Greeting { text: format!("Hello, {person}!") })
///     }
/// }
/// ```
#[macro_export]
macro_rules! service {
    ($service:ty) => { $crate::service!($service, path: "wit"); };
    ($service:ty, $($options:tt)+) => {
        $crate::neighbours!($($options)+);
        // Only a component has exports. As symbols of a native library their names would not be valid.
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            type Component = $service;
            bindings::export!(Component with_types_in bindings);
        };
    };
}

/// Makes the bindings of a world as the module `bindings`, and exports nothing: for a service that has HTTP alone, and
/// calls others by their contracts. Takes the options of `wit_bindgen::generate!`.
#[macro_export]
macro_rules! neighbours {
    ($($options:tt)+) => {
        #[allow(unsafe_code, missing_docs, unreachable_pub, dead_code, unused, clippy::all, reason = "generated code")]
        mod bindings {
            $crate::wit_bindgen::generate!({
                runtime_path: "::atoll_guest::wit_bindgen::rt",
                generate_all,
                additional_derives: [PartialEq],
                $($options)+
            });
        }
    };
}

/// Exports an `async fn(&Request) -> Result<Response, Problem>` as the service's HTTP face.
///
/// ```ignore
/// use atoll_guest::http::{Problem, Request, Response};
///
/// atoll_guest::http_service!(answer);
///
/// async fn answer(request: &Request) -> Result<Response, Problem> {
///     Ok(Response::text(200, "hello"))
/// }
/// ```
#[macro_export]
macro_rules! http_service {
    ($answer:path) => {
        const _: () = {
            struct Face;
            impl $crate::wasip3::exports::http::handler::Guest for Face {
                async fn handle(
                    request: $crate::wasip3::http::types::Request,
                ) -> ::core::result::Result<
                    $crate::wasip3::http::types::Response,
                    $crate::wasip3::http::types::ErrorCode,
                > {
                    $crate::http::serve(request, $answer).await
                }
            }
            #[cfg(target_arch = "wasm32")]
            $crate::wasip3::http::service::export!(Face);
        };
    };
}
