# frozen_string_literal: true

require 'vegas'

$stdout.sync = true

p = Vegas::Producer.new('stream-name')
p.send('partition-key', 'message')

process_record = lambda do |r|
  puts "#{r.partition_key}:#{r.data.force_encoding('utf-8')}"
end

# A group's name or the ARN of a fan-out consumer; runs at once.
c = Vegas::Consumer.new('stream-name', 'efo-arn', process_record)
puts 'Consumer is running. Press ctrl+c to stop'
c.run
