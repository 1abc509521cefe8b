"""Finding, checking and naming components, and resolving a request into a frozen plan. No torch here."""
