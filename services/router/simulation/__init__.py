"""A desk in discrete events: the service's own engine and policies on traces and made-up desks. See README.md."""
