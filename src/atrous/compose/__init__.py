"""Networks as descriptions: small frozen records that know their arrays by name. Read in this order:

1. `part`                what every part of a network offers: variables, forward, backward, lower
2. `leaves`, `activation`   convolution, batch norm, pools, dropout, endpoints; ReLU and its relatives
3. `chain`, `residual`, `parallel`, `image_pooling`, `gate`, `skip_connections`, `side_head`, `input_size`,
                         `multi_scale`, `enlarge`, `crf_layer`
                         how parts are joined, one file for each way
4. `styles`              how projects name their arrays
5. `match`               the arrays given, compared with the arrays expected
6. `program`             a description lowered to a flat list of steps, and convolutions fused with what follows them
7. `cpu`, `cuda`         how each step is computed

Nothing is recorded while a network trains: the backward pass of a part is written next to its forward pass, and a join
calls the backward passes of its parts in reverse.
"""  # noqa: D400
