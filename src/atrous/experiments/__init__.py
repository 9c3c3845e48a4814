"""The papers' findings on a drawn world: small networks, minutes on two cores, three seeds.

1. `design`     what an experiment is: trainings, rows of a table, claims
2. `networks`   the small network that all experiments change in one place
3. one file for each experiment, with the paper's numbers and claims
4. `run`        train and measure, in processes; go on after an interruption
5. `verdict`    effect and spread of each claim, and a table in words

`catalogue` has them by name. A claim is only made where its effect is larger than its spread over the seeds.
"""
