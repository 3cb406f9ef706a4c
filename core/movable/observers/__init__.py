"""What attaches to an address space, to watch it or to interfere.

`Contract` holds driver and VM to the rules, `LockRules` to those about locks, `Trace` writes down
what is asked and answered, `Refusals` makes the driver refuse now and then. Each is attached and
detached by itself (:meth:`movable.AddressSpace.attach`), and costs nothing while it is not. Import
them from their modules; this package imports none, since `Trace` needs structlog.
"""
