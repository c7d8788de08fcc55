"""Every SQL statement of the router. Locks are taken in one order: desk lease, tickets by id, agents by id.

Several writers meet on a ticket: handlers, agents over HTTP, the clock, the dispatcher. Each locks the row, decides on
what it then reads, and writes with the version in the condition; the history's primary key is the last wall.
"""
