"""Compare a portal's list of leads or invoice with the leads that arrived."""
