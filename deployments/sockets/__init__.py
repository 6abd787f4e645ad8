"""The live sockets of a gateway: frames in and out, desks, visitors, and the hub that feeds them."""
