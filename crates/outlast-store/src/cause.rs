//! What the class of an error does not say and only the place where it happened can tell: enough for somebody to mend it.

/// Known at the connection or in the answer's head, and lost a moment later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// TLS was begun, and what came back was no TLS.
    NotTls,
    /// A request in plain HTTP was answered: only TLS is spoken here.
    TlsWanted,
    /// A request in plain HTTP was answered with what is no HTTP; mostly that is TLS.
    NotHttp,
    /// The certificate leads to nobody who is trusted here.
    IssuerUnknown,
    CertificateExpired,
    CertificateNotYetValid,
    /// The certificate is for another host.
    OtherHost,
    /// A page for people where a service's answer was due.
    Page,
    /// The service itself says which region it serves.
    Region(String),
}
