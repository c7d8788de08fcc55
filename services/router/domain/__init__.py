"""What the router decides, as pure functions: transitions, service levels, queue rules and the engine."""
