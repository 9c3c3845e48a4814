"""Atrous spatial pyramid pooling: one feature map seen at several rates. Read in this order:

1. `reference`     the sum of v2 and the concatenation of v3, forward and backward, as plain calls
2. `description`   the four forms of the papers as parts of a network
3. `block`         what users call: `aspp_forward`, `aspp_backward`
"""  # noqa: D400
