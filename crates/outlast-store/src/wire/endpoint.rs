//! Where a service answers, taken apart and checked once.

use http::Uri;
use http::uri::Authority;

/// What is wrong with the configuration of a service; the text is fit for `check`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ServiceConfigError {
    #[error("endpoint {0:?}: {1}")]
    Endpoint(String, &'static str),
    #[error("{0} is empty")]
    Empty(&'static str),
    #[error("{0}: {1}")]
    Unreadable(&'static str, String),
    #[error("ca_file {path}: {why}")]
    CaFile { path: String, why: String },
    #[error("TLS cannot be set up: {0}")]
    Tls(String),
}

/// The endpoint, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub tls: bool,
    /// Without port and without the brackets of an IPv6 address.
    pub host: String,
    pub port: u16,
    /// As the Host header says it: the port only where it is not the scheme's own.
    pub authority: Authority,
    /// A path in front of the bucket, without trailing slash; mostly empty.
    pub prefix: String,
}

impl Endpoint {
    pub fn parse(text: &str) -> Result<Endpoint, ServiceConfigError> {
        let wrong = |why| ServiceConfigError::Endpoint(text.to_owned(), why);
        let uri: Uri = text.parse().map_err(|_| wrong("not a URL"))?;
        let tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(wrong("it starts with neither https:// nor http://")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("no host"))?;
        if authority.as_str().contains('@') {
            return Err(wrong("keys do not belong into the endpoint"));
        }
        if uri.query().is_some() {
            return Err(wrong("an endpoint has no query"));
        }
        let host = authority.host().trim_matches(['[', ']']).to_owned();
        let own_port = if tls { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(own_port);
        let shown = if port == own_port { authority.host().to_owned() } else { authority.as_str().to_owned() };
        let authority = shown.parse().map_err(|_| wrong("not a host and port"))?;
        Ok(Endpoint { tls, host, port, authority, prefix: uri.path().trim_end_matches('/').to_owned() })
    }

    /// `https://host:port/prefix`, for people.
    pub fn shown(&self) -> String {
        format!("{}://{}{}", if self.tls { "https" } else { "http" }, self.authority, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints() {
        let check = |text: &str, host: &str, port: u16, authority: &str, prefix: &str| {
            let e = Endpoint::parse(text).unwrap_or_else(|why| panic!("{text}: {why}"));
            assert_eq!(
                (e.host.as_str(), e.port, e.authority.as_str(), e.prefix.as_str()),
                (host, port, authority, prefix)
            );
        };
        check("https://s3.example.com", "s3.example.com", 443, "s3.example.com", "");
        check("https://s3.example.com:443/", "s3.example.com", 443, "s3.example.com", "");
        check("http://127.0.0.1:9000", "127.0.0.1", 9000, "127.0.0.1:9000", "");
        check("http://[::1]:9000/a/b/", "::1", 9000, "[::1]:9000", "/a/b");
        for bad in ["s3.example.com", "ftp://x", "https://", "https://k:s@host", "http://h/?x=1", ""] {
            assert!(Endpoint::parse(bad).is_err(), "{bad}");
        }
    }
}
