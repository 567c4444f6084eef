"""A rule about findings that the configuration of schemathesis cannot express."""

import schemathesis


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Whether a failure is a finding.

    A service has rules that its contract cannot express (the form of an SKU, the longest name). So a service may refuse
    a request that fits the document, with 422 and the case of its error in the problem. A 422 without a case comes from
    the host, and then the host or the document is wrong.
    """
    refused_by_the_service = response.status_code == 422 and response.json().get("case") == "invalid"
    return not (type(failure).__name__ == "RejectedPositiveData" and refused_by_the_service)
