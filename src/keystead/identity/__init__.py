"""Who is who: SPIFFE IDs, registration entries, and the issuers whose users are believed."""
