"""The modules of pydensecrf under their own names: ``import atrous.pydensecrf.utils as utils`` and so on."""
