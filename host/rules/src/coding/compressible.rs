//! Which media types become clearly smaller.

/// Types of `application`, `font` and `image` that are text, or as good as text. Others of these are compressed by
/// themselves, such as `image/png`, `font/woff2` and `application/zip`, or unknown.
const TYPES: [&str; 21] = [
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json5",
    "application/jsonl",
    "application/manifest+json",
    "application/ndjson",
    "application/rtf",
    "application/toml",
    "application/vnd.ms-fontobject",
    "application/wasm",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-www-form-urlencoded",
    "application/xml",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/x-icon",
];

/// Structured syntaxes that are text (RFC 6839, RFC 9512), whatever stands before them.
const SYNTAXES: [&str; 4] = ["+json", "+xml", "+text", "+yaml"];

/// Whether contents of this type, as `Content-Type` names it, are worth compressing. A stream of events never is: each
/// event would wait for more in some client on the way.
pub fn is_compressible(content_type: &[u8]) -> bool {
    let name = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
    let Ok(name) = std::str::from_utf8(name) else { return false };
    let name = name.to_ascii_lowercase();
    if name == "text/event-stream" {
        return false;
    }
    name.starts_with("text/")
        || TYPES.contains(&name.as_str())
        || SYNTAXES.iter().any(|syntax| name.ends_with(syntax) && !name.starts_with("multipart/"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_compressed_and_what_is_compressed_already_is_not() {
        for good in [
            "text/html",
            "Text/HTML; charset=utf-8",
            "application/json",
            "application/problem+json",
            "image/svg+xml",
            "application/wasm",
            "application/vnd.api+json ; v=1",
            "font/ttf",
        ] {
            assert!(is_compressible(good.as_bytes()), "{good}");
        }
        for bad in [
            "",
            "text/event-stream",
            "TEXT/Event-Stream;charset=utf-8",
            "image/png",
            "image/jpeg",
            "video/mp4",
            "application/zip",
            "application/octet-stream",
            "application/grpc",
            "application/grpc+proto",
            "font/woff2",
            "multipart/byteranges; boundary=a",
            "\u{fffd}",
        ] {
            assert!(!is_compressible(bad.as_bytes()), "{bad}");
        }
    }
}
