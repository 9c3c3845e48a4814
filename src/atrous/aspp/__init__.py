"""Atrous spatial pyramid pooling (ASPP): one feature map seen at several rates. Read in this order:

1. `reference`   the sum of v2 and the concatenation of v3, forward and backward, as plain calls
2. `forms`       the four forms of the papers as parts of a network
3. `operators`   what users call: `aspp_forward`, `aspp_backward`
"""  # noqa: D400
