"""Steps from policy to policy, their measured curves and costs."""
