"""Programs built from the package's functions: they read and write files. The command line prints what they return.

1. `jobs`           a photograph and the files to write for it
2. `segment`        label photographs with a network
3. `rough_labels`   labels of a photograph from a file: colours, or probabilities
4. `refine`         sharpen rough labels with the fully connected CRF
5. `operator_checks`   gradient checks of the package's own operators
6. `demo`           the papers' figures, the methods side by side, gradient checks
"""
