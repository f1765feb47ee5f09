"""Properties run without a deadline: the machine may be busy with the tests beside them."""

from hypothesis import settings

settings.register_profile("conclave", deadline=None)
settings.load_profile("conclave")
