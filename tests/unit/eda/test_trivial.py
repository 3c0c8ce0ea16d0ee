from ansible_collections.spot.platform.extensions.eda.plugins.module_utils import envelope, inbox, dispatch, arguments
def test_x(): assert envelope.KNOWN
