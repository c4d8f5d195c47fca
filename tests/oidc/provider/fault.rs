/// What the provider does wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    Nothing,
    // In the ID token's claims.
    WrongNonce,
    NoNonce,
    WrongAudience,
    ExtraAudience,
    OtherParty,
    WrongIssuer,
    IssuerWithSlash,
    Expired,
    FromTheFuture,
    NotYetValid,
    WrongAccessTokenHash,
    NoSubject,
    EmptySubject,
    // In its signature.
    Unsigned,
    SignedWithClientSecret,
    SignedWithPublicKey,
    ForeignKey,
    ForeignKeyOwnId,
    Tampered,
    Critical,
    // In the answer of the token endpoint.
    NoIdToken,
    /// As most providers answer without the scope `offline_access`.
    NoRefreshToken,
    NoLifetime,
    NoLifetimeNoRefreshToken,
    NotBearer,
    AccessTokenWithNewline,
    Html,
    Truncated,
    Huge,
    Redirects,
    InvalidGrant,
    InvalidClient,
    ServerError,
    TooManyRequests,
    NeverAnswers,
    HangsUp,
    // In the discovery document.
    DiscoveryOfAnother,
    DiscoveryOverHttp,
    DiscoveryWithoutToken,
    DiscoveryIsHtml,
    DiscoveryHasNoKeys,
    /// It fails like the keys, and only once the gate is open.
    FailsAtLeisure,
    // Elsewhere.
    UserinfoOfSomebodyElse,
    UserinfoFails,
    /// Right, but close: clocks differ by less than a minute.
    SlightlyExpired,
}
