"""Every way of bringing a learner up to date, stopped after every packet of it, by every kind of fault."""
